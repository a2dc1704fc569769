package fleet_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/test/fleet"
)

// gateway declares a Gateway on port 8080; placement "Fleet" puts it everywhere.
func gateway(namespace, name, placement string) string {
	return fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s, namespace: %s, annotations: {nave.dev/placement: %s}}
spec: {gatewayClassName: nave, listeners: [{name: http, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]}
---
`, name, namespace, placement)
}

// route declares an HTTPRoute of a Gateway in the same namespace to a backend
// that fleetBackend declares.
func route(namespace, name, of, path, to string) string {
	return fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: %s}
spec:
  parentRefs: [{name: %s}]
  rules: [{matches: [{path: {type: PathPrefix, value: %s}}], backendRefs: [{name: %s, group: agentgateway.dev, kind: AgentgatewayBackend}]}]
---
`, name, namespace, of, path, to)
}

// fleetBackend declares a backend that every cluster may reach, and the Service
// behind it.
func fleetBackend(namespace, name string, at *httptest.Server) string {
	return fmt.Sprintf(`apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: %s, namespace: %s, annotations: {nave.dev/scope: Fleet}}
spec: {static: {host: %[1]s.%[2]s.svc.cluster.local, port: 80}}
---
`, name, namespace) + service(namespace, name, at)
}

// serviceRoute declares an HTTPRoute to a Service.
func serviceRoute(namespace, name, of, path, toNamespace, service string) string {
	return fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: %s}
spec:
  parentRefs: [{name: %s}]
  rules: [{matches: [{path: {type: PathPrefix, value: %s}}], backendRefs: [{name: %s, namespace: %s, port: 80}]}]
---
`, name, namespace, of, path, service, toNamespace)
}

// service declares a Service that a server of the test stands for.
func service(namespace, name string, at *httptest.Server) string {
	ap := netip.MustParseAddrPort(at.Listener.Addr().String())
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: %[2]s}
spec: {ports: [{port: 80, targetPort: %[4]d}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s, namespace: %[2]s, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
endpoints: [{addresses: ["%[3]s"], conditions: {ready: true}}]
ports: [{port: %[4]d, protocol: TCP}]
---
`, name, namespace, ap.Addr(), ap.Port())
}

// backend answers with its name, and counts.
type backend struct {
	*httptest.Server
	requests atomic.Int64
	mu       sync.Mutex
	last     http.Header
}

func newBackend(t *testing.T, name string) *backend {
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.requests.Add(1)
		b.mu.Lock()
		b.last = r.Header.Clone()
		b.mu.Unlock()
		fmt.Fprint(w, name)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) fields() http.Header {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// traffic asks for urls without a pause, until it is stopped, and notes what
// was not answered as it should be.
type traffic struct {
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	asked int
	wrong []string
}

func send(f *fleet.Fleet, right func(fleet.Answer, error) bool, urls ...string) *traffic {
	x := &traffic{stop: make(chan struct{})}
	for _, url := range urls {
		x.done.Go(func() {
			for {
				select {
				case <-x.stop:
					return
				default:
				}
				a, err := f.Do(http.MethodGet, url, "")
				x.mu.Lock()
				x.asked++
				if !right(a, err) && len(x.wrong) < 10 {
					x.wrong = append(x.wrong, fmt.Sprintf("%s: %d %q %v", url, a.Code, a.Body, err))
				}
				x.mu.Unlock()
			}
		})
	}
	return x
}

func (x *traffic) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.asked
}

// end stops the traffic and fails the test for what went wrong.
func (x *traffic) end(t *testing.T) {
	t.Helper()
	close(x.stop)
	x.done.Wait()
	if len(x.wrong) > 0 {
		t.Errorf("of %d requests some went wrong:\n%s", x.asked, strings.Join(x.wrong, "\n"))
	}
}

func TestADeclaredGatewayReachesAnotherClustersProxies(t *testing.T) {
	west := newBackend(t, "west")
	f := fleet.New(t, fleet.Options{Clusters: []string{"west", "east"}})
	f.Write("clusters/west/all.yaml", gateway("shop", "g", "Fleet")+route("shop", "r", "g", "/", "web")+fleetBackend("shop", "web", west.Server)+
		serviceRoute("shop", "service", "g", "/service", "shop", "web"))
	for _, cluster := range []string{"west", "east"} {
		for _, url := range f.Gateway(cluster, "shop/g") {
			f.Expect(url+"/hello", 200, "west")
			f.Expect(url+"/service", 200, "west") // a Service is its own cluster's, wherever it is asked for
		}
	}
}

// TestExplain: by whichever of its names a backend is asked for, and in plain words
// where there is none.
func TestExplain(t *testing.T) {
	west := newBackend(t, "west")
	f := fleet.New(t, fleet.Options{Clusters: []string{"west", "east"}})
	f.Write("clusters/west/all.yaml", gateway("shop", "g", "Fleet")+route("shop", "r", "g", "/", "web")+fleetBackend("shop", "web", west.Server))
	for _, cluster := range []string{"west", "east"} {
		for _, url := range f.Gateway(cluster, "shop/g") {
			f.Expect(url+"/hello", 200, "west")
		}
	}
	for _, c := range []struct {
		query string
		code  int
		says  string
	}{
		{"backend=web", 200, `"cluster":"east"`}, {"backend=shop/web", 200, `"cluster":"west"`}, {"backend=AgentgatewayBackend+shop/web", 200, `"cluster":"west"`},
		{"backend=web&from=east", 200, `"cluster":"east"`},
		{"backend=none", 404, "explain backend \"none\": no proxy has such a backend; `nave status -o json` lists those that there are\n"},
		{"backend=web&from=mars", 404, "no such cluster; there are: east, west\n"},
	} {
		a, err := f.Do("GET", "http://"+fleet.HubAPI+"/api/v1/explain?"+c.query, "")
		if err != nil || a.Code != c.code || !strings.Contains(a.Body, c.says) {
			t.Errorf("%s: %d %s %v", c.query, a.Code, a.Body, err)
		}
	}
}

func TestAChangedRouteIsObeyedEverywhere(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	f := fleet.New(t, fleet.Options{Clusters: []string{"west", "east"}})
	f.Write("clusters/west/all.yaml", gateway("shop", "g", "Fleet")+fleetBackend("shop", "a", a.Server)+fleetBackend("shop", "b", b.Server))
	f.Write("clusters/west/route.yaml", route("shop", "r", "g", "/", "a"))
	urls := append(f.Gateway("west", "shop/g"), f.Gateway("east", "shop/g")...)
	for _, url := range urls {
		f.Expect(url+"/", 200, "a")
	}
	// No request is lost while the route changes under it.
	x := send(f, func(a fleet.Answer, err error) bool { return err == nil && a.Code == 200 }, urls...)
	f.Write("clusters/west/route.yaml", route("shop", "r", "g", "/", "b"))
	for _, url := range urls {
		f.Expect(url+"/", 200, "b")
	}
	x.end(t)
	f.Remove("clusters/west/route.yaml")
	for _, url := range urls {
		f.Expect(url+"/", 404, "")
	}
}

func TestAHubThatComesBackDisturbsNothing(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	f := fleet.New(t, fleet.Options{Clusters: []string{"west", "east"}})
	f.Write("clusters/west/all.yaml", gateway("shop", "g", "Fleet")+fleetBackend("shop", "a", a.Server)+fleetBackend("shop", "b", b.Server)+
		route("shop", "always", "g", "/always", "a"))
	f.Write("clusters/west/route.yaml", route("shop", "r", "g", "/", "a"))
	west, east := f.Gateway("west", "shop/g")[0], f.Gateway("east", "shop/g")[0]
	f.Expect(west+"/", 200, "a")
	f.Expect(east+"/", 200, "a")
	x := send(f, func(a fleet.Answer, err error) bool { return err == nil && a.Code == 200 && a.Body == "a" }, west+"/always", east+"/always")

	f.StopHub()
	f.Write("clusters/west/route.yaml", route("shop", "r", "g", "/", "b"))
	f.Expect(west+"/", 200, "b") // west needs no hub for what it declares itself
	f.StartHub()
	f.Expect(east+"/", 200, "b")

	// Again with what spokes pushed lost: it comes back from them, and nothing is
	// taken away before that.
	f.StopHub()
	f.Forget("hub/store/clusters")
	asked := x.count()
	f.StartHub()
	f.Write("clusters/west/route.yaml", route("shop", "r", "g", "/", "a"))
	f.Expect(east+"/", 200, "a")
	f.Until("traffic goes on", func() error {
		if n := x.count() - asked; n < 50 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	x.end(t)
}

func TestASpokeThatComesBackDisturbsNothing(t *testing.T) {
	a := newBackend(t, "a")
	f := fleet.New(t, fleet.Options{Clusters: []string{"west", "east"}})
	f.Write("clusters/west/all.yaml", gateway("shop", "g", "Fleet")+fleetBackend("shop", "a", a.Server)+route("shop", "r", "g", "/", "a"))
	urls := append(f.Gateway("west", "shop/g"), f.Gateway("east", "shop/g")...)
	for _, url := range urls {
		f.Expect(url+"/", 200, "a")
	}
	x := send(f, func(a fleet.Answer, err error) bool { return err == nil && a.Code == 200 }, urls...)
	for _, cluster := range []string{"west", "east"} {
		f.StopSpoke(cluster)
		f.StartSpoke(cluster)
	}
	f.Write("clusters/west/more.yaml", route("shop", "more", "g", "/more", "nobody"))
	for _, url := range urls {
		f.Expect(url+"/more", 500, "")
	}
	x.end(t)
}

// TestARevokedClusterDeclaresNothingMore: its stream ends at once, what it says
// after that reaches nobody, and what it had declared stays.
func TestARevokedClusterDeclaresNothingMore(t *testing.T) {
	west := newBackend(t, "west")
	f := fleet.New(t, fleet.Options{Clusters: []string{"west", "east"}})
	f.Write("clusters/west/all.yaml", gateway("shop", "g", "Fleet")+route("shop", "r", "g", "/", "web")+fleetBackend("shop", "web", west.Server))
	f.Write("clusters/east/all.yaml", fleetBackend("shop", "web", west.Server))
	urls := f.Gateway("east", "shop/g")
	f.Expect(urls[0]+"/", 200, "west")
	if ids, err := f.Hub().Authority().Revoke("west", "test"); err != nil || len(ids) == 0 {
		t.Fatal(ids, err)
	}
	f.Until("the revocation shows", func() error {
		s, err := f.Status()
		if err == nil && !slices.ContainsFunc(s.Problems, func(p objects.Problem) bool { return p.Cluster == "west" && p.Reason == "Revoked" }) {
			err = fmt.Errorf("the problems are %+v", s.Problems)
		}
		return err
	})
	f.Write("clusters/west/late.yaml", gateway("shop", "late", "Fleet"))
	f.Write("clusters/east/own.yaml", gateway("shop", "own", "Local"))
	f.Gateway("east", "shop/own")
	// Nothing tells when a spoke that is shut out has sent all that it would: it has
	// two heartbeats' time, in which its declarations took effect before.
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		s, err := f.Status()
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(s.Gateways, func(g report.Gateway) bool { return g.Name == "late" }) {
			t.Fatal("a revoked cluster's new Gateway is there")
		}
	}
	f.Expect(urls[0]+"/", 200, "west")
}
