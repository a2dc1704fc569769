package llm_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/navehq/nave/test/simulators/authority"
	"github.com/navehq/nave/test/simulators/model"
)

// certificates vouch for whatever speaks TLS here.
var certificates = func() *authority.Authority {
	a, err := authority.New("providers")
	if err != nil {
		panic(err)
	}
	return a
}()

// provider is one of a backend's, and what stands behind it.
type provider struct {
	// cluster declares it; "" is where clients enter.
	cluster string
	// says is the provider's field of the manifest, as in "openai: {}".
	says string
	// host is the provider's own, reached by TLS; "" gives it one of its test's by
	// host and port, in plain text.
	host string
	// key is sent by policies.auth from a Secret; auth is that field itself.
	key, auth string
	// handler answers; nil is nobody. address is another place to lead to.
	handler http.Handler
	address string
}

// backend is a backend in as many groups as it has providers, one after the
// other, and the route to it.
type backend struct {
	name      string
	providers []provider
	// failover is a FailoverPolicy's spec but its targets, ai the backend's
	// policies.ai; both as YAML in one line.
	failover, ai string
}

var manifest = template.Must(template.New("").Parse(`{{if .Here}}apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: {{.Name}}, namespace: llm}
spec:
  parentRefs: [{name: models}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /{{.Name}}}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{name: {{.Name}}, group: agentgateway.dev, kind: AgentgatewayBackend}]
---
{{if .Failover}}apiVersion: nave.dev/v1alpha1
kind: FailoverPolicy
metadata: {name: {{.Name}}, namespace: llm}
spec:
  targetRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: {{.Name}}}]
  {{.Failover}}
---
{{end}}{{end}}apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: {{.Name}}, namespace: llm}
spec:
  ai:
    groups:
{{range .Providers}}    - providers:
      - name: {{.Member}}
        {{.Says}}
{{if .Host}}        host: {{.Host}}
        port: {{.Port}}
{{end}}{{if .Auth}}        policies: {auth: {{.Auth}}}
{{end}}{{end}}{{if .AI}}  policies: {ai: {{.AI}}}
{{end}}{{range .Providers}}{{if .Key}}---
apiVersion: v1
kind: Secret
metadata: {name: {{.Secret}}, namespace: llm}
stringData: {Authorization: {{.Key}}}
{{end}}{{end}}---
`))

// written is a provider as the template has it. In each cluster the first is
// Member NAME-0 and so on, which pairs those of one place with one another.
type written struct {
	Member, Says, Host, Auth, Key, Secret string
	Port                                  int
}

// declare puts backends into the fleet's folder and waits until the proxies obey
// them.
func declare(t *testing.T, backends ...backend) {
	t.Helper()
	texts := map[string]*bytes.Buffer{here: {}, there: {}}
	want := map[string][]wanted{}
	running.mu.Lock()
	for _, b := range backends {
		running.rounds[b.name]++
		b.name = fmt.Sprintf("%s-r%d", b.name, running.rounds[b.name])
		parts := map[string][]written{}
		for i := range b.providers {
			p := &b.providers[i]
			if p.cluster == "" {
				p.cluster = here
			}
			w, leads := b.stand(t, i, p)
			w.Member = fmt.Sprintf("%s-%d", b.name, len(parts[p.cluster]))
			parts[p.cluster] = append(parts[p.cluster], w)
			for _, cluster := range []string{here, there} {
				want[cluster] = append(want[cluster], wanted{resource: leads})
			}
		}
		for cluster, list := range parts {
			data := map[string]any{"Here": cluster == here, "Name": b.name, "Failover": b.failover, "AI": b.ai, "Providers": list}
			if err := manifest.Execute(texts[cluster], data); err != nil {
				t.Fatal(err)
			}
			w := wanted{resource: "backend AgentgatewayBackend llm/" + b.name + " "}
			for cluster := range parts {
				w.lines = append(w.lines, "at "+cluster)
			}
			want[here], want[cluster] = append(want[here], w), append(want[cluster], w)
		}
		want[here] = append(want[here], wanted{resource: "rule HTTPRoute llm/" + b.name + "/"})
	}
	err := running.writeHosts()
	running.mu.Unlock()
	file := strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-") + ".yaml"
	for cluster, text := range texts {
		if text.Len() > 0 && err == nil {
			err = running.write("clusters/"+cluster+"/"+file, text.Bytes())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for cluster, list := range want {
		obeyed(t, cluster, list...)
	}
}

// stand puts a simulator behind a provider and gives its manifest, and the line
// of a table that leads there.
func (b *backend) stand(t *testing.T, i int, p *provider) (written, string) {
	name := fmt.Sprintf("%s-%d", b.name, i)
	w := written{Says: p.says, Auth: p.auth, Key: p.key, Port: 8000}
	h := host{Host: p.host, Port: 443}
	if p.host == "" {
		w.Host = name + ".test"
		h.Host, h.Port, h.Plaintext = w.Host, w.Port, true
	} else {
		h.CAFile = running.dir + "/ca.pem"
	}
	if p.key != "" {
		running.secrets = append(running.secrets, p.key)
		w.Secret = name
		w.Auth = "{secretRef: {name: " + w.Secret + "}}"
	}
	if h.Address = p.address; h.Address == "" {
		h.Address = stand(t, p)
	}
	running.hosts[h.Host] = h
	return w, fmt.Sprintf("host %s:%d -> %s", h.Host, h.Port, h.Address)
}

func stand(t *testing.T, p *provider) string {
	if p.handler == nil {
		_, address := bound(t)
		return address
	}
	server := httptest.NewUnstartedServer(p.handler)
	if p.host == "" {
		server.Start()
	} else {
		config, err := certificates.Serve(p.host)
		if err != nil {
			t.Fatal(err)
		}
		config.MinVersion = tls.VersionTLS12
		server.TLS = config
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return server.Listener.Addr().String()
}

// wanted is a resource of a table, as it is printed: the beginning of its line,
// and the first words of lines that are to be below it.
type wanted struct {
	resource string
	lines    []string
}

func (w wanted) in(dump string) bool {
	_, rest, found := strings.Cut(dump, "\n"+w.resource)
	if !found {
		return false
	}
	var below []string
	for i, line := range strings.Split(rest, "\n") {
		if i > 0 && !strings.HasPrefix(line, " ") {
			break
		}
		below = append(below, strings.TrimSpace(line)+" ")
	}
	return !slices.ContainsFunc(w.lines, func(want string) bool {
		return !slices.ContainsFunc(below, func(line string) bool { return strings.HasPrefix(line, want+" ") })
	})
}

// obeyed waits until a cluster's proxy obeys all that is wanted.
func obeyed(t *testing.T, cluster string, want ...wanted) {
	t.Helper()
	proxy := running.entry
	if cluster == there {
		proxy = running.far
	}
	var missing wanted
	dump := ""
	if !eventually(15*time.Second, func() bool {
		dump = ask(port(proxy, admin) + "/config_dump")
		for _, w := range want {
			if !w.in(dump) {
				missing = w
				return false
			}
		}
		return true
	}) {
		kept := running.write("dump-"+cluster+".txt", []byte(dump))
		t.Fatalf("the proxy of %s does not obey %+v; what it obeys is in dump-%s.txt (%v)", cluster, missing, cluster, kept)
	}
}

// clientKey is what clients show to the gateway; no provider is to see it.
const clientKey = "sk-clients-own-3d1f7a5c9b"

// client is the kit, without its own repeats, at a backend's route; tape gets
// what comes back, if it is not nil.
func client(name string, tape *tape) *openai.Client {
	options := []option.RequestOption{
		option.WithBaseURL(running.entry + "/" + running.name(name) + "/v1/"), option.WithAPIKey(clientKey), option.WithMaxRetries(0),
	}
	if tape != nil {
		options = append(options, option.WithHTTPClient(&http.Client{Transport: tape}))
	}
	c := openai.NewClient(options...)
	return &c
}

// openAI is a simulator of OpenAI and what a backend says of it.
func openAI(key string, faults ...model.Fault) (*model.Simulator, provider) {
	sim := model.New(model.Options{Name: "openai", Region: "eastus", Keys: []string{key}, Faults: faults, Models: []string{"gpt-5.4", "gpt-5.4-mini", "text-embedding-3-small"}})
	return sim, provider{says: "openai: {}", key: key, handler: sim}
}

const claude = "claude-sonnet-4-5"

func anthropic(key string, faults ...model.Fault) (*model.Simulator, provider) {
	sim := model.New(model.Options{Name: "anthropic", Region: "westus2", Keys: []string{key}, Faults: faults, Models: []string{claude}})
	return sim, provider{says: "anthropic: {model: " + claude + "}", key: key, handler: sim}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
