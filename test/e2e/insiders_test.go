package e2e_test

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/api/pki"
)

// insider is one who has a certificate of the fleet, and a port that admits it.
type insider struct {
	name, address string
	config        *tls.Config
	// paths are what is called there, head the fields that callers send.
	paths []string
	head  map[string]string
}

// garble sends what no part of the fleet would send to the ports between them,
// with certificates that the fleet itself has given.
func (f *fleet) garble(doors []door) {
	f.t.Helper()
	spoke, proxy := leaf(f.t, f.identity(entry, "identity.json")), f.identity(entry, "proxies", "*", "identity.json")
	name, err := pki.ParseName(proxy.Chain[0].URIs[0].String())
	if err != nil {
		f.t.Fatal(err)
	}
	var all []insider
	for _, d := range doors {
		_, port, _ := net.SplitHostPort(d.address)
		switch {
		case d.of == "hub" && port == "9443":
			all = append(all, insider{"a spoke to the hub", d.address, party(spoke).HubClient(),
				[]string{"/nave.wire.v1.Hub/Connect", "/nave.wire.v1.Hub/Supervise", "/nave.wire.v1.HubIdentity/Join", "/nave.wire.v1.HubIdentity/Renew", "/none"}, nil})
		case d.of == "spoke-"+entry && port == "9978":
			all = append(all, insider{"a proxy to its spoke", d.address, party(proxy).SpokeClient(entry),
				[]string{"/nave.wire.v1.Spoke/Connect", "/nave.wire.v1.SpokeIdentity/Enrol", "/nave.wire.v1.SpokeIdentity/Renew"}, nil})
		case strings.HasPrefix(d.of, "proxy-"+home) && port == "15443" && d.network == "tcp":
			head := map[string]string{"nave-link-backend": "AgentgatewayBackend%20agentgateway-system/demo-mcp-server", "nave-link-member": "demo-mcp-server",
				"nave-link-gateway": name.Namespace + "/" + name.Gateway, "mcp-session-id": strings.Repeat("A", 300)}
			all = append(all, insider{"a proxy over a link", d.address, party(proxy).LinkClient(home, name.Tenant), []string{"/mcp", "/azureopenai/chat/completions", "/"}, head})
		}
	}
	if len(all) != 1+1+4 {
		f.t.Fatalf("INVALID: %d ports between the parts were found among %v", len(all), doors)
	}
	var wg sync.WaitGroup
	for _, x := range all {
		wg.Go(func() { x.garble(f.t) })
	}
	wg.Wait()
}

func (x insider) garble(t *testing.T) {
	admitted, bodies := 0, frames()
	var last error
	for _, g := range garbage() {
		x.raw(g)
	}
	for _, path := range x.paths {
		for i, body := range bodies {
			code, err := x.call(t.Context(), path, body)
			if err == nil {
				admitted++
			} else {
				last = err
			}
			if code >= http.StatusInternalServerError && code != http.StatusBadGateway && code != http.StatusServiceUnavailable {
				t.Errorf("%s: body %d at %s is answered %d", x.name, i, path, code)
			}
		}
	}
	if admitted < len(bodies) {
		t.Errorf("INVALID: %s: only %d of what was sent was let in: %v", x.name, admitted, last)
	}
}

// frames are bodies of gRPC, and worse: payloads that are no messages, messages of
// another shape, lengths that lie.
func frames() [][]byte {
	r := rand.New(rand.NewPCG(3, 4)) // the same each time
	framed := func(flag byte, length int, payload []byte) []byte {
		head := make([]byte, 5)
		head[0] = flag
		binary.BigEndian.PutUint32(head[1:], uint32(length))
		return append(head, payload...)
	}
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	// A message of any shape: fields 1 to 15 of all kinds, with noise in them.
	shaped := func(n int) []byte {
		var b []byte
		for range n {
			field := byte(1+r.IntN(15)) << 3
			if r.IntN(2) == 0 {
				b = append(b, field, byte(r.IntN(128)))
			} else {
				inner := noise(r.IntN(40))
				b = append(append(b, field|2, byte(len(inner))), inner...)
			}
		}
		return b
	}
	out := [][]byte{
		nil, {0}, noise(4), noise(3000), framed(0, 0, nil), framed(1, 20, noise(20)), framed(0, 1<<31, noise(100)), framed(7, 10, noise(10)), framed(0, 400, noise(20)),
		bytes.Repeat(framed(0, 0, nil), 5000), framed(0, 200, bytes.Repeat([]byte{0x0a}, 200)), framed(0, 3<<20, bytes.Repeat([]byte{0x12, 0x00}, 3<<19)),
		[]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"count","arguments":{}}}`), []byte(`{"model":"gpt-5.4-mini","messages":[]}`), bytes.Repeat([]byte("["), 100<<10),
	}
	for range 40 {
		m := shaped(1 + r.IntN(12))
		out = append(out, framed(0, len(m), m))
	}
	return out
}

// raw sends bytes behind the handshake.
func (x insider) raw(data []byte) {
	config := x.config.Clone()
	config.NextProtos = []string{"h2"}
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 2 * time.Second}, "tcp", x.address, config)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(200 * time.Millisecond))
	_, _ = c.Write(data)          // it may hang up in the midst
	_, _ = io.Copy(io.Discard, c) // what it says to that
}

// call sends a body as a call, and gives the answer's code where it was let in.
func (x insider) call(ctx context.Context, path string, body []byte) (int, error) {
	config := x.config.Clone()
	config.NextProtos = []string{"h2"}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+x.address+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/grpc")
	if x.head != nil {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
	}
	for k, v := range x.head {
		r.Header.Set(k, v)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // a stream may go on
	return resp.StatusCode, nil
}

// identity reads what the fleet has given to one of a cluster's parts.
func (f *fleet) identity(cluster string, path ...string) pki.Credentials {
	f.t.Helper()
	found, err := filepath.Glob(filepath.Join(append([]string{f.Dir(), ".nave", "clusters", cluster}, path...)...))
	if err != nil || len(found) == 0 {
		f.t.Fatalf("%s has no identity at %v: %v", cluster, path, err)
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		f.t.Fatal(err)
	}
	c, err := pki.ParseCredentials(data)
	if err != nil {
		f.t.Fatal(fmt.Errorf("read %s: %w", found[0], err))
	}
	return c
}

// leaf is a spoke's own certificate, which it signs itself.
func leaf(t *testing.T, c pki.Credentials) pki.Credentials {
	t.Helper()
	name, err := pki.ParseName(c.Chain[0].URIs[0].String())
	if err != nil {
		t.Fatal(err)
	}
	own, err := c.Issuer().Leaf(name, c.Key.Public(), crand.Reader, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return pki.Credentials{Key: c.Key, Chain: append([]*x509.Certificate{own}, c.Chain...), Roots: c.Roots}
}

func party(c pki.Credentials) pki.Party {
	return pki.Party{
		Certificate: func() (*tls.Certificate, error) { return c.TLS(), nil },
		Roots:       func() []*x509.Certificate { return c.Roots }, Revoked: func() pki.Revoked { return nil }, Now: time.Now,
	}
}
