package fleet_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/navehq/nave/test/fleet"
)

// orders is how many random interleavings are tried, and workers how many of
// them at a time, so that they also come between each other.
const orders, workers = 150, 10

// restriction is one way to restrict a route, and what passes it.
type restriction struct {
	name, spec string
	// passes are the fields of a request that is let through, nil none is;
	// refused is what others get.
	passes  []string
	refused int
}

var restrictions = []restriction{
	{name: "allow", refused: 403, passes: []string{"x-pass", "yes"},
		spec: `traffic: {authorization: {policy: {matchExpressions: ["request.headers['x-pass'] == 'yes'"]}}}`},
	{name: "deny", refused: 403, passes: []string{"x-pass", "yes"},
		spec: `traffic: {authorization: {action: Deny, policy: {matchExpressions: ["!('x-pass' in request.headers)"]}}}`},
	{name: "not built", refused: 500,
		spec: `traffic: {jwtAuthentication: {providers: [{issuer: i, jwks: {inline: "{}"}}]}}`},
}

// story is one route with what restricts it, and its files.
type story struct {
	restriction
	path  string
	files map[string]string
}

func newStory(n int, at *backend) story {
	s := story{restriction: restrictions[n%len(restrictions)], path: fmt.Sprintf("/r%d", n), files: map[string]string{}}
	name := fmt.Sprintf("r%d", n)
	file := func(piece string) string { return "clusters/west/" + name + "-" + piece + ".yaml" }
	s.files[file("route")] = route("shop", name, "g", s.path, "b"+name)
	s.files[file("backend")] = fleetBackend("shop", "b"+name, at.Server)
	s.files[file("policy")] = fmt.Sprintf(`apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: %s, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: %[1]s}]
  %s
`, name, s.spec)
	return s
}

// play saves the story's files in a random order, and takes the route and the
// backend away and back. Some changes are obeyed before the next comes, others
// come together with it. The policy never comes last, and never goes.
func (s story) play(f *fleet.Fleet, rng *rand.Rand) error {
	files := []string{"route", "backend", "policy"}
	for files[2] == "policy" {
		rng.Shuffle(3, func(i, j int) { files[i], files[j] = files[j], files[i] })
	}
	steps := append(files, "", "")
	for i := range 2 {
		steps[3+i] = []string{"route", "backend"}[rng.IntN(2)]
	}
	for i, piece := range steps {
		file := "clusters/west" + s.path + "-" + piece + ".yaml"
		if i >= 3 {
			f.Remove(file)
			if err := s.settle(f, rng, piece, false); err != nil {
				return err
			}
		}
		f.Write(file, s.files[file])
		if err := s.settle(f, rng, piece, true); err != nil {
			return err
		}
	}
	return nil
}

// settle waits, one time in two, until the spoke has obeyed a change: it then
// has written the object's status, or has removed it.
func (s story) settle(f *fleet.Fleet, rng *rand.Rand, piece string, there bool) error {
	if rng.IntN(2) == 0 {
		return nil
	}
	status := map[string]string{"route": "HTTPRoute/shop/", "backend": "AgentgatewayBackend/shop/b", "policy": "AgentgatewayPolicy/shop/"}[piece] + s.path[1:] + ".yaml"
	return fleet.Await(func() error {
		if _, err := os.Stat(filepath.Join(f.State("west"), "statuses", status)); (err == nil) != there {
			return fmt.Errorf("wait for the status of %s: %w", status, err)
		}
		return nil
	})
}

func TestNoOrderOfArrivalOpensARouteThatIsRestricted(t *testing.T) {
	at := newBackend(t, "in")
	f := fleet.New(t, fleet.Options{Clusters: []string{"west", "east"}})
	f.Write("clusters/west/gateway.yaml", gateway("shop", "g", "Fleet"))
	urls := append(f.Gateway("west", "shop/g"), f.Gateway("east", "shop/g")...)
	var stories []story
	for n := range orders {
		stories = append(stories, newStory(n, at))
	}
	closed := func(a fleet.Answer, err error) bool { return err == nil && a.Code != http.StatusOK }
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for n := w; n < orders; n += workers {
				var watched []string
				for _, url := range urls {
					watched = append(watched, url+stories[n].path)
				}
				x := send(f, closed, watched...)
				if err := stories[n].play(f, rng); err != nil {
					t.Error(err)
				}
				for _, url := range watched {
					if err := f.AwaitAnswer(url, stories[n].refused); err != nil {
						t.Errorf("%s, restricted by %s: %v", url, stories[n].name, err)
					}
				}
				x.end(t)
			}
		})
	}
	all.Wait()
	if n := at.requests.Load(); n > 0 {
		t.Errorf("%d requests reached a backend past what restricts its route", n)
	}
	for _, s := range stories {
		if s.passes == nil {
			continue
		}
		for _, url := range urls {
			f.Expect(url+s.path, 200, "in", s.passes...)
		}
	}
}
