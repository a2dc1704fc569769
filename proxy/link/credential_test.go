package link_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/navehq/nave/api/table"
)

// The key that the entry took off a request crosses the link only to an
// instance that is declared to be shown it.
func TestAKeyCrossesWhereItIsWanted(t *testing.T) {
	f := newFleet(t)
	east, west := newSite(t, f, "east"), newSite(t, f, "west")
	sites := []*site{east, west}
	west.backend.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %d", r.Header.Get("Authorization"), len(r.Header.Values("Nave-Link-Credential")))
	})
	east.policies = []table.Resource{
		&table.Policy{
			Name: "p", Targets: []table.Target{{Kind: "Gateway", Namespace: "ns", Name: "gw"}},
			APIKey: &table.APIKey{Mode: table.Strict, Secrets: []string{"keys"}, Location: table.Location{Header: "x-key"}},
		},
		&table.Secret{Name: "keys", Data: map[string][]byte{"alice": []byte("clients-own")}},
	}
	own := &table.Auth{Kind: table.AuthPassthrough}
	for _, c := range []struct {
		why       string
		here, far *table.Auth // as the entry's table and the serving one's have it
		want      string
	}{
		{"both say so", own, own, `"Bearer clients-own" 0`},
		{"the entry does not know", nil, own, `"" 0`},
		{"the serving one does not want it", own, nil, `"" 0`},
	} {
		east.set(t, sites, []string{"west"}, func(b *table.Backend) { b.Groups[0][0].Instances[0].Auth = c.here })
		west.set(t, sites, []string{"west"}, func(b *table.Backend) { b.Groups[0][0].Instances[0].Auth = c.far })
		wait(t, "a link", 5*time.Second, reachable(east.client, "west"))
		r, err := http.NewRequest("GET", east.url(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("x-key", "clients-own")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, resp); got != c.want {
			t.Errorf("%s: the backend is shown %s, want %s", c.why, got, c.want)
		}
	}
}
