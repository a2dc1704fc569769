package probe_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/spoke/probe"
)

// TestKeys: what a policy asks a client for, and what the prober shows.
func TestKeys(t *testing.T) {
	strict := func(at table.Location) *table.APIKey {
		return &table.APIKey{Mode: table.Strict, Secrets: []string{"keys ns/gone", "keys ns/clients", "keys ns/prober"}, Location: at}
	}
	for name, test := range map[string]struct {
		entry  string
		policy *table.APIKey
		want   bool
		header map[string]string
		query  url.Values
	}{
		"its own":               {"k", strict(table.Location{}), true, map[string]string{"Authorization": "Bearer k"}, nil},
		"with what is said":     {` {"key": "k", "metadata": {"team": "sre"}}`, strict(table.Location{}), true, map[string]string{"Authorization": "Bearer k"}, nil},
		"in a header":           {"k", strict(table.Location{Header: "x-key"}), true, map[string]string{"x-key": "k"}, nil},
		"in the query":          {"k", strict(table.Location{Query: "key"}), true, nil, url.Values{"key": {"k"}}},
		"in a cookie":           {"k", strict(table.Location{Cookie: "key"}), true, map[string]string{"Cookie": "key=k"}, nil},
		"a hash":                {`{"keyHash": "sha256:00"}`, strict(table.Location{}), false, nil, nil},
		"none":                  {"", strict(table.Location{}), false, nil, nil},
		"none where none needs": {"", &table.APIKey{Mode: table.Optional, Secrets: []string{"keys ns/clients"}}, true, nil, nil},
		"whatever one shows":    {"", &table.APIKey{Mode: table.Permissive}, true, nil, nil},
		"no policy":             {"", nil, true, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			resources := []table.Resource{
				&table.Listener{Name: "ns/g/http", Gateway: "ns/g", Section: "http", Port: 80, Protocol: table.ProtocolHTTP},
				&table.Backend{Name: "web", Kind: table.BackendHTTP},
				rule("r", "/", "web", nil),
				&table.Secret{Name: "keys ns/clients", Data: map[string][]byte{"alice": []byte("not-the-prober's")}},
			}
			if test.entry != "" {
				resources = append(resources, &table.Secret{Name: "keys ns/prober", Data: map[string][]byte{"nave-prober": []byte(test.entry)}})
			}
			if test.policy != nil {
				resources = append(resources, &table.Policy{
					Name: "p", Targets: []table.Target{{Kind: "Gateway", Namespace: "ns", Name: "g"}}, APIKey: test.policy,
					// What this says of the prober is found by trying.
					Authorization: &table.Authorization{Action: table.Deny, Expressions: []string{"true"}},
				})
			}
			got := probe.Targets(table.New(resources...), []map[string][]string{{"http": {"http://1"}}})
			if !test.want {
				if len(got) != 0 {
					t.Errorf("got %v", got)
				}
				return
			}
			want := []probe.Target{{Name: "r", Kind: probe.HTTP, URLs: []string{"http://1/"}, Header: test.header, Query: test.query}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestListOfModels: what counts as an answer to a request for it.
func TestListOfModels(t *testing.T) {
	for body, ok := range map[string]bool{
		`{"object": "list", "data": [{"id": "m"}]}`: true, `{"data": []}`: true,
		`{"error": {}}`: false, `{"data": null}`: false, completion: false, "": false,
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &front{answer: func(_ int, r *http.Request, _ string) (*http.Response, error) {
				if r.Method != http.MethodGet {
					t.Errorf("asked by %s", r.Method)
				}
				return reply(200, body), nil
			}}
			p := prober(t, f, probe.Target{Name: "r", Kind: probe.Models, URLs: []string{"http://one/v1/models"}})
			start(t, p, 10, time.Minute)
			time.Sleep(950 * time.Millisecond)
			synctest.Wait()
			if got := total(report(t, p, time.Time{})); got.OK()+got.Failed != 10 || (got.Failed == 0) != ok {
				t.Errorf("%s: %+v", body, got)
			}
		})
	}
}

// TestModels: where a backend that names no model is asked for those of its provider.
func TestModels(t *testing.T) {
	for _, test := range []struct {
		path   table.ValueMatch
		routes map[string]string
		want   string
	}{
		{table.ValueMatch{Type: table.Prefix, Value: "/"}, nil, "/v1/models"},
		{table.ValueMatch{Type: table.Prefix, Value: "/team"}, nil, "/team/v1/models"},
		{table.ValueMatch{Type: table.Prefix, Value: "/team/v1/"}, nil, "/team/v1/models"},
		{table.ValueMatch{Type: table.Exact, Value: "/v1/models"}, nil, "/v1/models"},
		{table.ValueMatch{Type: table.Exact, Value: "/v1/chat/completions"}, nil, ""},
		{table.ValueMatch{Type: table.Prefix, Value: "/"}, map[string]string{"*": "Passthrough", "/list": "Models"}, "/list"},
		{table.ValueMatch{Type: table.Prefix, Value: "/"}, map[string]string{"/chat": "Completions", "*": "Models"}, ""},
	} {
		tab := table.New(
			&table.Listener{Name: "ns/g/http", Gateway: "ns/g", Section: "http", Port: 80, Protocol: table.ProtocolHTTP},
			&table.Backend{Name: "any", Kind: table.BackendAI, Groups: [][]table.Member{{{Name: "p", Model: &table.Model{Provider: table.OpenAI, Routes: test.routes}}}}},
			rule("r", "", "any", func(r *table.Rule) { r.Matches[0].Path = test.path }),
		)
		got := ""
		for _, target := range probe.Targets(tab, []map[string][]string{{"http": {"http://1"}}}) {
			got = strings.TrimPrefix(target.URLs[0], "http://1")
		}
		if got != test.want {
			t.Errorf("%v with %v: %q, want %q", test.path, test.routes, got, test.want)
		}
	}
}

// pair is a certificate for names that signs itself.
func pair(t *testing.T, names ...string) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}

func secured(names map[string][]byte, hostname string) table.Table {
	l := &table.Listener{Name: "ns/g/http", Gateway: "ns/g", Section: "tls", Port: 443, Protocol: table.ProtocolHTTPS}
	resources := []table.Resource{
		&table.Backend{Name: "web", Kind: table.BackendHTTP},
		rule("r", "/", "web", func(r *table.Rule) { r.Binds[0].Hostnames = []string{hostname} }),
	}
	for name, certificate := range names {
		l.Certificates = append(l.Certificates, name)
		resources = append(resources, &table.Secret{Name: name, Data: map[string][]byte{"tls.crt": certificate}})
	}
	return table.New(append(resources, l)...)
}

// TestNames: by which name a listener with TLS is entered.
func TestNames(t *testing.T) {
	_, wild := pair(t, "*.example.com")
	_, one := pair(t, "one.example.org")
	for _, test := range []struct {
		certificates map[string][]byte
		hostname     string
		want         string
	}{
		{map[string][]byte{"a": wild}, "*.example.com", "probe.example.com"},
		{map[string][]byte{"a": wild}, "chat.example.com", "chat.example.com"},
		{map[string][]byte{"a": wild}, "", "probe.example.com"},
		{map[string][]byte{"a": one}, "", "one.example.org"},
		{map[string][]byte{"a": wild, "b": one}, "one.example.org", "one.example.org"},
		{map[string][]byte{"a": wild}, "one.example.org", ""},
		{map[string][]byte{"a": []byte("garbage")}, "", ""},
		{nil, "", ""},
	} {
		got := ""
		for _, target := range probe.Targets(secured(test.certificates, test.hostname), []map[string][]string{{"tls": {"https://1"}}}) {
			got = target.Host
			if !x509.NewCertPool().AppendCertsFromPEM(target.Trust) {
				t.Error("trusts nothing")
			}
		}
		if got != test.want {
			t.Errorf("%d certificates, hostname %q: enters as %q, want %q", len(test.certificates), test.hostname, got, test.want)
		}
	}
}

// TestTLS: the prober trusts what the listener is declared to show, and nobody
// else; its key is in no log.
func TestTLS(t *testing.T) {
	shown, certificate := pair(t, "gw.example.com")
	for name, trusted := range map[string]bool{"the listener": true, "somebody else": false} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Host != "gw.example.com" || r.TLS.ServerName != r.Host || r.URL.Query().Get("key") != "topsecret" {
					t.Errorf("asked %s for %s by TLS name %s", r.Host, r.URL, r.TLS.ServerName)
				}
			}))
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
			if server.TLS = (&tls.Config{Certificates: []tls.Certificate{shown}}); !trusted {
				other, _ := pair(t, "gw.example.com")
				server.TLS.Certificates[0] = other
			}
			server.StartTLS()
			defer server.Close()
			target := probe.Targets(secured(map[string][]byte{"a": certificate}, ""), []map[string][]string{{"tls": {server.URL}}})[0]
			target.Query = url.Values{"key": {"topsecret"}}
			read, write := io.Pipe()
			failed := make(chan string, 1)
			go func() {
				line := make([]byte, 4096)
				n, _ := read.Read(line)
				failed <- string(line[:n])
				_, _ = io.Copy(io.Discard, read)
			}()
			p := probe.New(probe.Options{
				Cluster: "east", Targets: func() []probe.Target { return []probe.Target{target} },
				Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, address)
				},
				Log: slog.New(slog.NewTextHandler(write, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			defer p.Stop()
			start(t, p, 100, time.Minute)
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				r := report(t, p, time.Time{})
				if got := total(r); got.OK()+got.Lost > 2 {
					if (got.OK() > 0) != trusted {
						t.Errorf("got %+v", got)
					}
					if strings.Contains(strings.Join(r.Targets, " "), "topsecret") {
						t.Error("a report names a key")
					}
					break
				}
				if time.Now().After(end) {
					t.Fatalf("nothing is counted: %+v", r)
				}
			}
			if !trusted {
				if line := <-failed; !strings.Contains(line, "certificate") || strings.Contains(line, "topsecret") {
					t.Errorf("the log says %s", line)
				}
			}
		})
	}
}
