package fleet_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/test/fleet"
	"github.com/navehq/nave/test/simulators/model"
	"github.com/navehq/nave/test/simulators/tools"
)

// listed is one line of testdata/agentgateway.md: something that agentgateway
// tells, and why a proxy does not tell it, "" where it does.
type listed struct {
	kind, name, what, missing string
	// seldom: this test's traffic and machine may not bring it about.
	seldom bool
}

var listedRow = regexp.MustCompile("(?m)^\\| (metric|key|page) \\| `([^`]+)` \\| ([^|]*) \\| (served|served where: [^|]+|not built: [^|]+) \\|$")

func contract(t *testing.T) (all []listed) {
	t.Helper()
	text, err := os.ReadFile("testdata/agentgateway.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range listedRow.FindAllStringSubmatch(string(text), -1) {
		missing, _ := strings.CutPrefix(m[4], "not built: ")
		if strings.HasPrefix(m[4], "served") {
			missing = ""
		}
		all = append(all, listed{m[1], m[2], m[3], missing, m[4] != "served" && missing == ""})
	}
	if rows := strings.Count(string(text), "\n| ") - 1; len(all) != rows {
		t.Fatalf("%d lines of the table can be read, of %d", len(all), rows)
	}
	return all
}

// What agentgateway's dashboards, log queries and scripts ask for is there once
// a proxy has carried some of everything, or the list says why not.
func TestAgentgatewaysTelemetryIsServed(t *testing.T) {
	f := everything(t)
	carry(t, f)
	proxy := f.Proxies("west")[0]
	metrics := page(t, f, "GET http://"+proxy+":15020/metrics")
	log := f.AccessLog()
	for _, want := range contract(t) {
		var there bool
		switch want.kind {
		case "metric":
			there = hasMetric(metrics, want)
		case "key":
			there = strings.Contains(log, " "+want.name+"=")
		case "page":
			method, rest, _ := strings.Cut(want.name, " ")
			if want.name == "POST /quitquitquit" {
				continue // the end; TestQuit of package proxy asks for it
			}
			a, err := f.Do(method, "http://"+proxy+rest, "")
			if err != nil {
				t.Fatal(err)
			}
			there = a.Code == 200
		}
		switch {
		case want.seldom:
		case !there && want.missing == "":
			t.Errorf("%s %s (%s) is not there", want.kind, want.name, want.what)
		case there && want.missing != "":
			t.Errorf("%s %s is there, and the list says %q", want.kind, want.name, want.missing)
		}
	}
	if t.Failed() {
		t.Logf("metrics:\n%s\naccess log:\n%s", metrics, log)
	}
	own(t, f)
}

// hasMetric finds a metric with the labels and buckets that are listed, and a
// value that traffic has moved.
func hasMetric(text string, want listed) bool {
	labels, buckets, histogram := strings.Cut(want.what, "; ")
	suffix := ""
	if histogram {
		suffix = "_bucket"
	}
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, want.name+suffix)
		if !ok || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for label := range strings.FieldsSeq(labels) {
			if !strings.Contains(rest, label+`="`) {
				return false
			}
		}
		for bucket := range strings.FieldsSeq(buckets) {
			if !regexp.MustCompile(want.name + suffix + `\{[^\n]*le="` + regexp.QuoteMeta(bucket) + `"`).MatchString(text) {
				return false
			}
		}
		return true
	}
	return false
}

// own holds Nave's metrics of streams against hub and spoke.
func own(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	f.Until("the hub tells that the cluster lacks nothing", func() error {
		text := page(t, f, "GET http://10.0.0.1:9092/metrics")
		for _, want := range []string{`nave_config_lag_seconds{cluster="west"} 0`, `nave_spoke_heartbeat_age_seconds{cluster="west"} `, `nave_resyncs_total{reason="start"} 1`} {
			if !strings.Contains(text, "\n"+want) {
				return fmt.Errorf("no %s in:\n%s", want, text)
			}
		}
		return nil
	})
	if text := page(t, f, "GET http://10.1.0.1:9092/metrics"); !strings.Contains(text, "\nnave_resyncs_total{reason=\"start\"} 1") {
		t.Errorf("the spoke does not count its proxy's stream:\n%s", text)
	}
	f.StopSpoke("west")
	f.StartSpoke("west")
	f.Until("the spoke counts that its proxy comes back", func() error {
		if text := page(t, f, "GET http://10.1.0.1:9092/metrics"); !strings.Contains(text, "\nnave_resyncs_total{reason=\"lost\"} 1") {
			return fmt.Errorf("it does not:\n%s", text)
		}
		return nil
	})
}

func page(t *testing.T, f *fleet.Fleet, what string) string {
	t.Helper()
	method, url, _ := strings.Cut(what, " ")
	a, err := f.Do(method, url, "")
	if err != nil || a.Code != 200 {
		t.Fatalf("%s: %d %v", what, a.Code, err)
	}
	return a.Body
}

// everything is a fleet of one cluster whose gateway has a listener with TLS and
// one without, and backends of every kind.
func everything(t *testing.T) *fleet.Fleet {
	t.Helper()
	web := newBackend(t, "web")
	models := httptest.NewServer(model.New(model.Options{}))
	t.Cleanup(models.Close)
	kit := tools.New(tools.Options{})
	server := httptest.NewServer(kit)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	f := fleet.New(t, fleet.Options{Clusters: []string{"west"}})
	f.OnEnd(kit.Forget)
	certificate, key := pair(t)
	f.Write("clusters/west/all.yaml", fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: shop}
spec:
  gatewayClassName: nave
  listeners:
  - {name: http, port: 8080, protocol: HTTP}
  - {name: https, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: leaf}]}}
---
apiVersion: v1
kind: Secret
metadata: {name: leaf, namespace: shop}
type: kubernetes.io/tls
data: {tls.crt: %s, tls.key: %s}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: models, namespace: shop}
spec: {ai: {provider: {openai: {}, host: models.shop.svc.cluster.local, port: 80}}}
---
`, certificate, key)+service("shop", "models", models)+fleetBackend("shop", "web", web.Server)+toolServer("shop", "kit", server)+
		route("shop", "web", "g", "/web", "web")+route("shop", "models", "g", "/v1", "models")+route("shop", "kit", "g", "/mcp", "kit"))
	return f
}

// carry has the fleet's proxy carry one of everything.
func carry(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	var plain, secure string
	f.Until("both listeners serve", func() error {
		for _, u := range f.Gateway("west", "shop/g") {
			if strings.HasPrefix(u, "https") {
				secure = u
			} else {
				plain = u
			}
		}
		if plain == "" || secure == "" {
			return fmt.Errorf("there are %q and %q", plain, secure)
		}
		return nil
	})
	f.Expect(plain+"/web", 200, "web", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	c, err := f.Dial(strings.TrimPrefix(secure, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	shaken := tls.Client(c, &tls.Config{ServerName: "a.example", InsecureSkipVerify: true})
	if _, err := io.WriteString(shaken, "GET /web HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(shaken); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
		t.Fatalf("by TLS: %q, %v", answer, err)
	}
	_ = shaken.Close()
	for path, body := range map[string]string{
		"/v1/chat/completions": `{"model":"m","messages":[{"role":"user","content":"hello"}],"stream":true,"temperature":0.5,"top_p":0.9,"max_tokens":99,"frequency_penalty":0.1,"presence_penalty":0.2,"seed":7}`,
		"/v1/embeddings":       `{"model":"m","input":"hello","dimensions":8,"encoding_format":"float"}`,
	} {
		a, err := f.Do(http.MethodPost, plain+path, body, "Content-Type", "application/json")
		if err != nil || a.Code != 200 {
			t.Fatalf("%s: %d %q %v", path, a.Code, a.Body, err)
		}
	}
	if a, err := f.Do(http.MethodPost, plain+"/v1/chat/completions", "{", "Content-Type", "application/json"); err != nil || a.Code != 400 {
		t.Fatalf("no JSON: %d %q %v", a.Code, a.Body, err)
	}
	id := open(t, f, plain)
	for _, message := range []string{
		`{"jsonrpc":"2.0","id":3,"method":"resources/read","params":{"uri":"sim://nothing"}}`,
		`{"jsonrpc":"2.0","id":4,"method":"prompts/get","params":{"name":"nothing"}}`,
	} {
		if a, err := tool(f, plain, id, message); err != nil || a.Code != 200 {
			t.Fatalf("%s: %d %q %v", message, a.Code, a.Body, err)
		}
	}
	f.Expect(plain+"/nowhere", 404, "")
	f.Until("the log has the last request", func() error {
		if !strings.Contains(f.AccessLog(), "http.path=/nowhere") {
			return fmt.Errorf("it has not:\n%s", f.AccessLog())
		}
		return nil
	})
}

// pair makes a certificate and its key as a Secret has them.
func pair(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, data []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", raw)
}
