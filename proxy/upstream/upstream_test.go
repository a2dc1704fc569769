package upstream_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/upstream"
)

// sent is a client by hand: it notes where requests go and refuses connections
// to dead addresses.
type sent struct {
	to   []http1.Destination
	dead map[string]bool
}

func (s *sent) Do(_ context.Context, _ *message.Request, to http1.Destination) (*message.Response, error) {
	s.to = append(s.to, to)
	if s.dead[to.Address] {
		return nil, &message.SendError{Stage: message.StageConnect, Unprocessed: true, Err: errors.New("refused")}
	}
	return &message.Response{Status: 200}, nil
}

func (s *sent) addresses() (out []string) {
	for _, d := range s.to {
		out = append(out, d.Address)
	}
	return out
}

func finder(resources ...table.Resource) func(table.ID) table.Resource {
	t := table.New(resources...)
	return t.Get
}

func resolver(m map[string]string) func(context.Context, string) ([]netip.Addr, error) {
	return func(_ context.Context, host string) ([]netip.Addr, error) {
		a, ok := m[host]
		if !ok {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr(a)}, nil
	}
}

func TestGuard(t *testing.T) {
	dns := map[string]string{
		"good.com": "93.184.216.34", "evil.com": "127.0.0.1", "meta.com": "169.254.169.254", "six.com": "::ffff:127.0.0.1",
		"nat.com": "64:ff9b::7f00:1", "wire.com": "168.63.129.16", "private.com": "10.1.2.3",
	}
	endpoints := &table.Endpoints{Name: "Service ns/s:80", Addresses: []table.Address{{Host: "127.0.0.1", Port: 9000}}}
	mapped := &table.Host{Name: "api.openai.com:443", Address: "127.0.0.1:9901", Plaintext: true}
	for _, c := range []struct {
		why        string
		dial       table.Dial
		standalone bool
		to         string // "" refused
	}{
		{"a public name", table.Dial{Host: "good.com", Port: 80}, false, "93.184.216.34:80"},
		{"a private address is a backend's", table.Dial{Host: "private.com", Port: 80}, false, "10.1.2.3:80"},
		{"a name that leads to loopback", table.Dial{Host: "evil.com", Port: 80}, false, ""},
		{"standalone neither", table.Dial{Host: "evil.com", Port: 80}, true, ""},
		{"an address that is loopback", table.Dial{Host: "127.0.0.1", Port: 80}, true, ""},
		{"mapped into IPv6", table.Dial{Host: "six.com", Port: 80}, true, ""},
		{"behind NAT64", table.Dial{Host: "nat.com", Port: 80}, false, ""},
		{"localhost by name", table.Dial{Host: "LOCALHOST.", Port: 80}, true, ""},
		{"metadata", table.Dial{Host: "meta.com", Port: 80}, false, ""},
		{"Azure's wire server", table.Dial{Host: "wire.com", Port: 80}, false, ""},
		{"unspecified", table.Dial{Host: "0.0.0.0", Port: 80}, false, ""},
		{"a proxy's admin port", table.Dial{Host: "private.com", Port: 15000}, false, ""},
		{"endpoints on loopback, on a cluster", table.Dial{Host: "s", Port: 80, Endpoints: endpoints.Name}, false, ""},
		{"endpoints on loopback, standalone", table.Dial{Host: "s", Port: 80, Endpoints: endpoints.Name}, true, "127.0.0.1:9000"},
		{"a mapped host, standalone", table.Dial{Host: "API.openai.com", Port: 443, TLS: &table.TLS{}}, true, "127.0.0.1:9901"},
		{"a mapped host, on a cluster", table.Dial{Host: "api.openai.com", Port: 443, TLS: &table.TLS{}}, false, ""},
	} {
		client := &sent{}
		u := upstream.New(upstream.Options{HTTP1: client, HTTP2: client, Resolve: resolver(dns)})
		target := upstream.Target{Dial: &c.dial, Find: finder(endpoints, mapped), Standalone: c.standalone}
		_, _, err := u.Send(context.Background(), target, &message.Request{})
		got := strings.Join(client.addresses(), " ")
		if got != c.to || (err == nil) != (c.to != "") {
			t.Errorf("%s: sent to %q, %v", c.why, got, err)
		}
		if c.to != "" {
			continue
		}
		var e *message.SendError
		if !errors.As(err, &e) || !e.Unprocessed {
			t.Errorf("%s: %v does not say that nothing was sent", c.why, err)
		}
	}
}

func TestAllowAdmits(t *testing.T) {
	client := &sent{}
	u := upstream.New(upstream.Options{HTTP1: client, Allow: func(a netip.AddrPort) bool { return a.Port() == 8080 }})
	_, name, err := u.Send(context.Background(), upstream.Target{Dial: &table.Dial{Host: "127.0.0.1", Port: 8080}, Find: finder()}, &message.Request{})
	if err != nil || name != "127.0.0.1:8080" {
		t.Error(name, err)
	}
}

func TestDeadAddressesAreTriedLast(t *testing.T) {
	e := &table.Endpoints{Name: "e"}
	for _, h := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
		e.Addresses = append(e.Addresses, table.Address{Host: h, Port: 1})
	}
	client := &sent{dead: map[string]bool{"10.0.0.2:1": true}}
	u := upstream.New(upstream.Options{HTTP1: client})
	for range 30 {
		if _, _, err := u.Send(context.Background(), upstream.Target{Dial: &table.Dial{Endpoints: "e"}, Find: finder(e)}, &message.Request{}); err != nil {
			t.Fatal(err)
		}
	}
	count := map[string]int{}
	for _, a := range client.addresses() {
		count[a]++
	}
	if count["10.0.0.2:1"] != 1 || count["10.0.0.1:1"] < 10 || count["10.0.0.3:1"] < 10 {
		t.Errorf("got %v: want one try of the dead one and the others by turns", count)
	}
}

func TestNobodyIsReady(t *testing.T) {
	u := upstream.New(upstream.Options{HTTP1: &sent{}})
	e := &table.Endpoints{Name: "e", Missing: "Service ns/s has no EndpointSlice; add one"}
	_, _, err := u.Send(context.Background(), upstream.Target{Dial: &table.Dial{Endpoints: "e"}, Find: finder(e)}, &message.Request{})
	if err == nil || !strings.Contains(err.Error(), e.Missing) {
		t.Errorf("got %v", err)
	}
}

func TestNamesAreRemembered(t *testing.T) {
	c := &clock{t: time.Unix(1e9, 0)}
	var asked []string
	broken := false
	answered := make(chan struct{}, 10)
	u := upstream.New(upstream.Options{HTTP1: &sent{}, Now: c.now, Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
		defer func() { answered <- struct{}{} }()
		asked = append(asked, host)
		if broken {
			return nil, errors.New("server failure")
		}
		return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
	}})
	send := func() error {
		_, _, err := u.Send(context.Background(), upstream.Target{Dial: &table.Dial{Host: "a.com", Port: 1}, Find: finder()}, &message.Request{})
		return err
	}
	for range 3 {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	<-answered
	if !slices.Equal(asked, []string{"a.com"}) {
		t.Errorf("asked %v", asked)
	}
	broken = true
	c.pass(time.Minute)
	if err := send(); err != nil {
		t.Errorf("a name that cannot be asked for again: %v", err)
	}
	<-answered
	c.pass(time.Hour)
	if err := send(); err == nil || !strings.Contains(err.Error(), `looking up "a.com": server failure`) {
		t.Errorf("after an hour: %v", err)
	}
}

func TestTLSConfigsAreShared(t *testing.T) {
	client := &sent{}
	u := upstream.New(upstream.Options{HTTP1: client})
	send := func(sni string) {
		d := &table.Dial{Host: "10.0.0.1", Port: 443, TLS: &table.TLS{ServerName: sni}}
		if _, _, err := u.Send(context.Background(), upstream.Target{Dial: d, Find: finder()}, &message.Request{}); err != nil {
			t.Fatal(err)
		}
	}
	send("a")
	send("a")
	send("b")
	if client.to[0].TLS != client.to[1].TLS || client.to[0].TLS == client.to[2].TLS || client.to[0].TLS.ServerName != "a" {
		t.Error("configurations are not shared by what they say")
	}
	d := &table.Dial{Host: "10.0.0.1", Port: 443, TLS: &table.TLS{CA: "gone"}}
	if _, _, err := u.Send(context.Background(), upstream.Target{Dial: d, Find: finder()}, &message.Request{}); err == nil {
		t.Error("a CA that is missing must not mean the system's roots")
	}
}

func TestAuthority(t *testing.T) {
	for _, c := range []struct {
		d    table.Dial
		want string
	}{
		{table.Dial{Host: "a", Port: 80}, "a"}, {table.Dial{Host: "a", Port: 8080}, "a:8080"},
		{table.Dial{Host: "a", Port: 443, TLS: &table.TLS{}}, "a"}, {table.Dial{Host: "a", Port: 443}, "a:443"},
		{table.Dial{Host: "::1", Port: 80}, "[::1]"},
	} {
		if got := upstream.Authority(&c.d); got != c.want {
			t.Errorf("%+v: got %s", c.d, got)
		}
	}
}
