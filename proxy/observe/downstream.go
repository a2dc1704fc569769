package observe

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// connectBuckets are of handshakes and connects, in seconds.
var connectBuckets = []float64{.0005, .0015, .0043, .0126, .0368, .108, .316, .924, 2.71, 8}

var socketLabels = []string{"bind", "gateway", "listener", "protocol"}

// sockets are the metrics of connections.
type sockets struct {
	connections, received, sent *prometheus.CounterVec
	handshake, connect          *prometheus.HistogramVec
	plain, secure               prometheus.Observer // of connect

	by cache[socketKey, *Downstream]
}

type socketKey struct{ bind, gateway, listener, protocol string }

func newSockets() *sockets {
	s := &sockets{
		connections: counter("agentgateway_downstream_connections_total", "Connections that clients made.", socketLabels),
		received:    counter("agentgateway_downstream_received_bytes_total", "Bytes from clients' connections, TLS's own included.", socketLabels),
		sent:        counter("agentgateway_downstream_sent_bytes_total", "Bytes to clients' connections, TLS's own included.", socketLabels),
		handshake:   histogram("agentgateway_tls_handshake_duration_seconds", "TLS handshakes with clients.", socketLabels, connectBuckets),
		connect:     histogram("agentgateway_upstream_connect_duration_seconds", "Connections made to endpoints, TLS's handshake included.", []string{"transport"}, connectBuckets),
	}
	s.plain, s.secure = s.connect.WithLabelValues("plaintext"), s.connect.WithLabelValues("tls")
	return s
}

func (s *sockets) all() []prometheus.Collector {
	return []prometheus.Collector{s.connections, s.received, s.sent, s.handshake, s.connect}
}

// Downstream counts the connections of one listener. It is kept by whoever
// counts, so that a connection's bytes cost no look-up.
type Downstream struct {
	connections, received, sent prometheus.Counter
	handshake                   prometheus.Observer
}

// Downstream finds what counts a listener's connections; protocol is http or https.
func (v *Observer) Downstream(bind, gateway, listener, protocol string) *Downstream {
	s := v.sockets
	key := socketKey{bind, gateway, listener, protocol}
	if d, ok := s.by.get(key); ok {
		return d
	}
	labels := []string{bind, gateway, listener, protocol}
	for i, l := range labels {
		labels[i] = or(strings.Clone(l))
	}
	return s.by.put(key, &Downstream{
		s.connections.WithLabelValues(labels...), s.received.WithLabelValues(labels...), s.sent.WithLabelValues(labels...),
		s.handshake.WithLabelValues(labels...),
	})
}

// Opened counts a connection.
func (d *Downstream) Opened() { d.connections.Inc() }

// Shaken counts a TLS handshake that has come to its end.
func (d *Downstream) Shaken(took time.Duration) { d.handshake.Observe(took.Seconds()) }

// Received counts bytes from a client.
func (d *Downstream) Received(n int) { d.received.Add(float64(max(n, 0))) }

// Sent counts bytes to a client.
func (d *Downstream) Sent(n int) { d.sent.Add(float64(max(n, 0))) }

// Connected counts a connection to an endpoint that was made.
func (v *Observer) Connected(secure bool, took time.Duration) {
	if secure {
		v.sockets.secure.Observe(took.Seconds())
	} else {
		v.sockets.plain.Observe(took.Seconds())
	}
}
