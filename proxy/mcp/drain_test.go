package mcp_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/match"
	"github.com/navehq/nave/proxy/mcp/mcptest"
)

// order puts a cluster in a state, at every proxy.
func order(t *testing.T, cluster string, state table.PeerState, all ...*whole) {
	t.Helper()
	for _, w := range all {
		apply(t, w, func(x *match.Index) table.Resource {
			peer := *x.Find(table.ID{Kind: table.KindPeer, Name: cluster}).(*table.Peer)
			peer.State = state
			return &peer
		})
	}
}

// apply changes one resource of a proxy's table.
func apply(t *testing.T, w *whole, change func(*match.Index) table.Resource) {
	t.Helper()
	old := w.f.Index()
	changes := []table.Change{table.Put(change(old))}
	x, err := old.Apply(old.Table().Apply(changes...), changes)
	if err != nil {
		t.Fatal(err)
	}
	w.f.SetIndex(x)
}

// counted is a counter's or gauge's sum over proxies.
func counted(t *testing.T, name, label string, all ...*whole) (sum float64) {
	t.Helper()
	for _, w := range all {
		families, err := w.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

// A draining cluster's sessions go on elsewhere, each begun anew once; what is
// under way there ends there.
func TestWholeProxiesDrainACluster(t *testing.T) {
	east, west, _, fakes := twoWholes(t, []string{"math"})
	c := east.through(t)
	c.Initialize("2025-06-18")
	id := c.Session
	c.Call("1", "logging/setLevel", `{"level":"debug"}`)
	if got := call(c, "count"); got != "west 1" {
		t.Error(got)
	}
	fakes["west"].hold = make(chan struct{})
	held := make(chan string)
	go func() { held <- call(c, "hold") }()
	<-fakes["west"].held
	asks := c.Open("POST", `{"jsonrpc":"2.0","id":"q","method":"tools/call","params":{"name":"ask"}}`)
	eventually(t, "the question came", func() bool { return asks.Find("sampling/createMessage") != "" })
	c.Open("GET", "")
	eventually(t, "the stream is there", func() bool { return fakes["west"].saw("GET") == 1 })

	order(t, "west", table.PeerDraining, east, west)
	for n := 1; n < 4; n++ {
		if got := call(c, "count"); got != fmt.Sprint("east ", n) {
			t.Error(got)
		}
	}
	eventually(t, "the stream goes too", func() bool { return fakes["east"].saw("GET") == 1 })
	eventually(t, "the draining cluster keeps no session", func() bool { return counted(t, "nave_mcp_sessions", "", west) == 0 })
	if fakes["east"].started() != 1 || fakes["west"].started() != 1 || counted(t, "nave_mcp_session_moves_total", "reinitialised", east, west) != 1 {
		t.Errorf("initialised %d and %d times, %v moves counted", fakes["west"].started(), fakes["east"].started(),
			counted(t, "nave_mcp_session_moves_total", "reinitialised", east, west))
	}
	if fakes["east"].saw(`"level":"debug"`) != 1 {
		t.Error("what the client had set was not set anew")
	}
	if c.Session != id || fakes["west"].ended() != 0 {
		t.Error("the session was ended under its calls, or has another id")
	}

	var question struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(asks.Find("sampling/createMessage"), "data: ")), &question); err != nil {
		t.Fatal(err)
	}
	c.Do("POST", `{"jsonrpc":"2.0","id":"`+question.ID+`","result":{"role":"user"}}`)
	eventually(t, "the client's answer found the call that asked", func() bool { return asks.Find(`"result"`) != "" })
	close(fakes["west"].hold)
	if got := <-held; got != "west" {
		t.Errorf("the call that was under way: %s", got)
	}
	eventually(t, "the session ends at the server that it left", func() bool { return fakes["west"].ended() == 1 })

	order(t, "west", table.PeerReady, east, west)
	if got := call(c, "count"); got != "east 4" {
		t.Errorf("after the drain: %s", got)
	}
	fresh := west.through(t)
	fresh.Initialize("2025-06-18")
	if got := call(fresh, "count"); got != "west 1" {
		t.Errorf("a new session after the drain: %s", got)
	}
}

// Whoever enters by whichever proxy finds the session where it went, the
// draining cluster's own included.
func TestDrainIsFoundByAnotherEntry(t *testing.T) {
	east, west, _, fakes := twoWholes(t, []string{"math"})
	c := east.through(t)
	c.Initialize("2025-06-18")
	call(c, "count")
	order(t, "west", table.PeerDraining, east, west)
	other := west.through(t)
	other.Session, other.Version = c.Session, c.Version
	if got := call(other, "count") + " " + call(c, "count") + " " + call(other, "count"); got != "east 1 east 2 east 3" {
		t.Error(got)
	}
	if fakes["east"].started() != 1 || fakes["west"].started() != 1 {
		t.Errorf("initialised %d and %d times", fakes["west"].started(), fakes["east"].started())
	}
}

// Where nobody else may serve a session, it stays, used or not.
func TestDrainLeavesWhatNobodyElseMayServe(t *testing.T) {
	east, west, _, fakes := twoWholes(t, []string{"math"})
	c := east.through(t)
	c.Initialize("2025-06-18")
	call(c, "count")
	order(t, "east", table.PeerCordoned, east, west)
	order(t, "west", table.PeerDraining, east, west)
	if got := call(c, "count"); got != "west 2" {
		t.Error(got)
	}
	before := fakes["west"].saw("GET")
	c.Open("GET", "")
	eventually(t, "the stream stays open at the draining cluster", func() bool { return fakes["west"].saw("GET") > before })
	order(t, "east", table.PeerReady, east, west)
	eventually(t, "the stream goes once it may", func() bool { return fakes["east"].saw("GET") == 1 })
	if got := call(c, "count"); got != "east 1" {
		t.Error(got)
	}
}

// A session that nobody uses does not keep a cluster from being drained, and
// loses nothing before it is used.
func TestDrainDoesNotWaitForWhatNobodyUses(t *testing.T) {
	east, west, _, fakes := twoWholes(t, []string{"math"})
	c := east.through(t)
	c.Initialize("2025-06-18")
	call(c, "count")
	if n := west.tools.Sessions(); n != 1 {
		t.Errorf("%d sessions are used", n)
	}
	order(t, "west", table.PeerDraining, east, west)
	eventually(t, "it is not used any more", func() bool { return west.tools.Sessions() == 0 })
	order(t, "west", table.PeerReady, east, west)
	if got := call(c, "count"); got != "west 2" || fakes["east"].started() != 0 {
		t.Error(got)
	}
}

// What limits where a route's calls may go holds in a drain as well.
func TestDrainKeepsToTheRoutesLimits(t *testing.T) {
	east, west, _, fakes := twoWholes(t, []string{"math"})
	for _, w := range []*whole{east, west} {
		apply(t, w, func(x *match.Index) table.Resource {
			r := *x.Find(table.ID{Kind: table.KindRule, Name: "HTTPRoute ns/r/0"}).(*table.Rule)
			r.Steering = []table.Steering{{Backend: "AgentgatewayBackend ns/tools", Failover: table.Failover{AllowedRegions: []string{"west"}}, By: "FailoverPolicy ns/p"}}
			return &r
		})
	}
	c := east.through(t)
	c.Initialize("2025-06-18")
	call(c, "count")
	c.Open("GET", "")
	eventually(t, "the stream is there", func() bool { return fakes["west"].saw("GET") == 1 })
	order(t, "west", table.PeerDraining, east, west)
	if got := call(c, "count"); got != "west 2" || fakes["east"].started() != 0 {
		t.Errorf("%s, and the session was begun %d times where it may not be", got, fakes["east"].started())
	}
}

// Requests that find their session in a cluster that drains, or is lost, at the
// same moment agree where it is begun anew, however many clusters are as good.
func TestASessionMovesToOneCluster(t *testing.T) {
	for _, lost := range []bool{false, true} {
		clusters := []string{"west", "north", "south", "east"}
		all, servers, fakes := wholes(t, clusters, []string{"math"}, table.Failover{Margin: table.Duration(time.Minute)}, nil)
		for _, other := range clusters[1:] {
			order(t, other, table.PeerCordoned, all["east"])
		}
		c := all["east"].through(t)
		c.Initialize("2025-06-18")
		if got := call(c, "count"); got != "west 1" {
			t.Fatal(got)
		}
		for _, w := range all {
			for _, other := range clusters[1:] {
				order(t, other, table.PeerReady, w)
			}
			if !lost {
				order(t, "west", table.PeerDraining, w)
			}
		}
		if lost {
			all["west"].kill()
			servers["west"].Close()
		}
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(func() { call(c, "add") })
		}
		calls.Wait()
		if begun := fakes["north"].started() + fakes["south"].started() + fakes["east"].started(); begun != 1 {
			t.Errorf("lost %v: begun anew %d times", lost, begun)
		}
	}
}

// What the client had set is known where its session goes on, however many
// clusters there are that it could have gone to.
func TestCopiesAreWhereASessionGoes(t *testing.T) {
	clusters := []string{"west", "a", "b", "c", "d", "e", "f"}
	all, servers, fakes := wholes(t, clusters, []string{"math"}, table.Failover{Margin: table.Duration(time.Minute)}, nil)
	for _, other := range clusters[1:] {
		order(t, other, table.PeerCordoned, all["a"])
	}
	var sessions []*mcptest.Client
	for range 4 {
		c := all["a"].through(t)
		before := all["west"].link.count("copy")
		c.Initialize("2025-06-18")
		eventually(t, "the session is known elsewhere", func() bool { return all["west"].link.count("copy") == before+2 })
		c.Call("1", "logging/setLevel", `{"level":"debug"}`)
		eventually(t, "so is its level", func() bool { return all["west"].link.count("copy") == before+4 })
		sessions = append(sessions, c)
	}
	for _, other := range clusters[1:] {
		order(t, other, table.PeerReady, all["a"])
	}
	all["west"].kill()
	servers["west"].Close()
	for _, c := range sessions {
		call(c, "add")
	}
	eventually(t, "the level is set anew", func() bool {
		n := 0
		for _, other := range clusters[1:] {
			n += fakes[other].saw(`"level":"debug"`)
		}
		return n == len(sessions)
	})
}
