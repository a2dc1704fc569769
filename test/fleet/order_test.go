package fleet_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/navehq/nave/test/fleet"
)

// orders is how many random interleavings are tried, and workers how many of
// them at a time, so that they also come between each other.
const orders, workers = 1000, 10

// restriction is one way to restrict a route, and what passes it.
type restriction struct {
	name, spec string
	// backend has it restrict the route's backend; secret is beside it.
	backend bool
	secret  string
	// passes are the fields of a request that is let through, nil none is;
	// refused is what others get.
	passes  []string
	refused int
	// home is where it can be passed at all: a Secret stays there, so that it closes
	// the route elsewhere.
	home bool
}

// at is what others get in a cluster, and whether anybody passes there.
func (r restriction) at(home bool) (refused int, passed bool) {
	if r.home && !home {
		return 500, false
	}
	return r.refused, r.passes != nil
}

var restrictions = []restriction{
	{name: "allow", refused: 403, passes: []string{"x-pass", "yes"},
		spec: `traffic: {authorization: {policy: {matchExpressions: ["request.headers['x-pass'] == 'yes'"]}}}`},
	{name: "deny", refused: 403, passes: []string{"x-pass", "yes"},
		spec: `traffic: {authorization: {action: Deny, policy: {matchExpressions: ["!('x-pass' in request.headers)"]}}}`},
	{name: "key", refused: 401, home: true, passes: []string{"x-client", "the-key"},
		spec:   `traffic: {apiKeyAuthentication: {secretRef: {name: %[1]s}, location: {header: {name: x-client}}}}`,
		secret: `stringData: {alice: the-key}`},
	{name: "key of a Secret that is missing", refused: 500,
		spec: `traffic: {apiKeyAuthentication: {secretRef: {name: not-there}}}`},
	{name: "not built", refused: 500,
		spec: `traffic: {jwtAuthentication: {providers: [{issuer: i, jwks: {inline: "{}"}}]}}`},
	{name: "not built, at the backend", refused: 500, backend: true,
		spec: `backend: {extAuth: {backendRef: {name: web, port: 80}, grpc: {}}}`},
}

// story is one route with what restricts it, and its files.
type story struct {
	restriction
	path string
	// files by their piece. other restricts the route in another way, in the
	// policy's place; extra restricts it beside the policy.
	files map[string]string
}

func newStory(n int, at *backend) story {
	s := story{restriction: restrictions[n%len(restrictions)], path: fmt.Sprintf("/r%d", n), files: map[string]string{}}
	name := fmt.Sprintf("r%d", n)
	policy := func(called string, r restriction) string {
		target := "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: " + name + "}"
		if r.backend {
			target = "{group: agentgateway.dev, kind: AgentgatewayBackend, name: b" + name + "}"
		}
		text := fmt.Sprintf("apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayPolicy\nmetadata: {name: %s, namespace: shop}\nspec:\n  targetRefs: [%s]\n  %s\n",
			called, target, strings.ReplaceAll(r.spec, "%[1]s", called))
		if r.secret != "" {
			text += fmt.Sprintf("---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: shop}\n%s\n", called, r.secret)
		}
		return text
	}
	s.files["route"] = route("shop", name, "g", s.path, "b"+name)
	s.files["backend"] = fleetBackend("shop", "b"+name, at.Server)
	s.files["policy"] = policy(name, s.restriction)
	s.files["other"] = policy(name, restrictions[(n/len(restrictions)+n+1)%len(restrictions)])
	s.files["extra"] = policy(name+"-extra", restrictions[(n/len(restrictions))%len(restrictions)])
	return s
}

// step saves a piece of the story, or takes it away.
type step struct {
	piece string
	gone  bool
}

// steps are the story's pieces in a random order, with the route and the backend
// taken away and brought back. The policy never comes last, and never goes; in
// its place another one comes and goes, and beside it another one.
func (s story) steps(rng *rand.Rand) []step {
	files := []string{"route", "backend", "policy"}
	for files[2] == "policy" {
		rng.Shuffle(3, func(i, j int) { files[i], files[j] = files[j], files[i] })
	}
	var out []step
	for _, piece := range files {
		out = append(out, step{piece: piece})
	}
	for range 2 {
		piece := []string{"route", "backend"}[rng.IntN(2)]
		out = append(out, step{piece, true}, step{piece: piece})
	}
	// after puts a step anywhere behind another, and gives its place.
	after := func(at int, x step) int {
		at += 1 + rng.IntN(len(out)-at)
		out = slices.Insert(out, at, x)
		return at
	}
	policy := slices.Index(out, step{piece: "policy"})
	switch rng.IntN(3) {
	case 0:
		after(after(policy, step{piece: "other"}), step{piece: "policy"})
	case 1:
		after(after(policy, step{piece: "extra"}), step{"extra", true})
	}
	return out
}

// play takes the story's steps. Some changes are obeyed before the next comes,
// others come together with it.
func (s story) play(f *fleet.Fleet, rng *rand.Rand) error {
	for _, x := range s.steps(rng) {
		place := strings.Replace(x.piece, "other", "policy", 1)
		file := "clusters/west" + s.path + "-" + place + ".yaml"
		if x.gone {
			f.Remove(file)
		} else {
			f.Write(file, s.files[x.piece])
		}
		if err := s.settle(f, rng, place, !x.gone); err != nil {
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
	name := s.path[1:]
	status := map[string]string{
		"route": "HTTPRoute/shop/" + name, "backend": "AgentgatewayBackend/shop/b" + name,
		"policy": "AgentgatewayPolicy/shop/" + name, "extra": "AgentgatewayPolicy/shop/" + name + "-extra",
	}[piece] + ".yaml"
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
	home := f.Gateway("west", "shop/g")
	urls := append(home, f.Gateway("east", "shop/g")...)
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
				for i, url := range watched {
					refused, _ := stories[n].at(i < len(home))
					if err := f.AwaitAnswer(url, refused); err != nil {
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
		for i, url := range urls {
			if _, passed := s.at(i < len(home)); passed {
				f.Expect(url+s.path, 200, "in", s.passes...)
			}
		}
	}
}
