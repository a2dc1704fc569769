package listen_test

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/listen"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
)

// values are the counters, and the counts of histograms, by name and listener.
func values(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "listener" {
					out[f.GetName()+" "+l.GetValue()] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	return out
}

const (
	opened   = "agentgateway_downstream_connections_total "
	received = "agentgateway_downstream_received_bytes_total "
	sent     = "agentgateway_downstream_sent_bytes_total "
	shaken   = "agentgateway_tls_handshake_duration_seconds "
)

// Every byte of a connection is counted once, whatever is spoken on it, and
// while it is still open.
func TestConnectionsAreCounted(t *testing.T) {
	r := prometheus.NewRegistry()
	v := observe.New(observe.Options{Registerer: r})
	t.Cleanup(v.Close)
	pair, pool := certificate(t, "a.example")
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	s := open(t, listen.Options{}, listen.Spec{Name: "plain", Address: "127.0.0.1:0", Handler: says("hi"),
		Meter: func(*message.TLS) *observe.Downstream { return v.Downstream("80/a/g", "a/g", "plain", "http") },
	}, listen.Spec{Name: "secure", Address: "localhost:0", Handler: says("hi"), Protocol: listen.HTTPS,
		TLS: func(*tls.ClientHelloInfo) (*tls.Config, error) { return config, nil },
		Meter: func(told *message.TLS) *observe.Downstream {
			name := ""
			if told != nil {
				name = told.ServerName
			}
			return v.Downstream("443/a/g", "a/g", name, "https")
		},
	})
	plain, secure := s.Addr("127.0.0.1:0").String(), s.Addr("localhost:0").String()

	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	c, err := net.Dial("tcp", plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4096)
	n, err := io.ReadAtLeast(c, answer, len("HTTP/1.1 200 OK\r\n\r\nhi http HTTP/1.1"))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the answer is counted", func() bool { return values(t, r)[sent+"plain"] >= float64(n) })
	got := values(t, r)
	if got[opened+"plain"] != 1 || got[received+"plain"] != float64(len(request)) || got[shaken+"plain"] != 0 {
		t.Errorf("of one request on an open connection: %v", got)
	}

	one, two := clients(t)
	ask(t, two, http1.Destination{Address: plain}) // HTTP/2 by prior knowledge goes from one engine to the other
	until(t, "HTTP/2 is counted", func() bool {
		now := values(t, r)
		return now[opened+"plain"] == 2 && now[received+"plain"] > got[received+"plain"]+24 && now[sent+"plain"] > got[sent+"plain"]
	})

	d := http1.Destination{Address: secure, TLS: &tls.Config{RootCAs: pool, ServerName: "a.example"}}
	ask(t, one, d)
	ask(t, two, d)
	until(t, "TLS is counted", func() bool {
		now := values(t, r)
		// A hello is larger than 100 bytes, a certificate than 300.
		return now[opened+"a.example"] == 2 && now[shaken+"a.example"] == 2 && now[received+"a.example"] > 200 && now[sent+"a.example"] > 600
	})

	bad, err := net.Dial("tcp", secure)
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	if _, err := io.WriteString(bad, request); err != nil {
		t.Fatal(err)
	}
	until(t, "a handshake that fails is counted", func() bool {
		now := values(t, r)
		return now[opened+"unknown"] == 1 && now[received+"unknown"] > 0 && now[shaken+"unknown"] == 0
	})
}
