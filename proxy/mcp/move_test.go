package mcp_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/proxy/mcp/mcptest"
)

// A server that forgets its sessions is initialised anew once, however many
// requests find it out, and is told again what the client had set.
func TestLostSessionIsBegunAnewOnce(t *testing.T) {
	for _, jsonGone := range []bool{false, true} {
		fleet, _, west := pair(t, nil)
		west.jsonGone = jsonGone
		c := client(t, fleet.Node("east-0"))
		c.Call("1", "logging/setLevel", `{"level":"debug"}`)
		c.Call("2", "resources/subscribe", `{"uri":"file:///west"}`)
		call(c, "count")
		west.forget()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got := call(c, "count"); !strings.HasPrefix(got, "west ") {
					t.Error(got)
				}
			})
		}
		wg.Wait()
		if west.started() != 2 {
			t.Errorf("initialised %d times", west.started())
		}
		if west.saw("west-2 POST logging/setLevel") != 1 || west.saw(`west-2 POST resources/subscribe {"uri":"file:///west"}`) != 1 {
			t.Errorf("not told anew: %v", west.told)
		}
		if got := call(c, "count"); got != "west 21" {
			t.Errorf("a refused call was lost or repeated: %s", got)
		}
		if n := fleet.Count("nave_mcp_session_moves_total", map[string]string{"result": "reinitialised"}); n != 1 {
			t.Errorf("%v moves counted", n)
		}
		moved := 0
		for _, r := range fleet.Node("east-0").Records() {
			if r.MCP.Moved == "reinitialised" {
				moved++
			}
		}
		if moved != 1 {
			t.Errorf("%d records say that the session moved", moved)
		}
	}
}

func TestRegionIsKilled(t *testing.T) {
	fleet, east, west := pair(t, nil)
	c := client(t, fleet.Node("east-0"))
	c.Call("1", "logging/setLevel", `{"level":"debug"}`)
	call(c, "count")
	eventually(t, "the copy reached the east", func() bool { return fleet.Copied("debug") == 1 })
	id := c.Session
	fleet.KillCluster("west")
	if got := call(c, "count"); got != "east 1" {
		t.Errorf("a call that nobody got was not carried out elsewhere: %s", got)
	}
	if got := call(c, "count"); got != "east 2" || c.Session != id {
		t.Errorf("the session did not go on: %s", got)
	}
	if east.started() != 1 || west.started() != 1 {
		t.Errorf("initialised %d and %d times", west.started(), east.started())
	}
	if east.saw("logging/setLevel") != 1 {
		t.Error("the level was not set anew: the copy did not go")
	}
	if n := fleet.Count("nave_mcp_session_moves_total", map[string]string{"result": "reinitialised"}); n != 1 {
		t.Errorf("%v moves counted", n)
	}
}

// A copy that is long on its way does not undo what a later one says.
func TestNoCopyOvertakesAnother(t *testing.T) {
	going, first := make(chan struct{}), make(chan struct{})
	fleet, east, _ := pair(t, func(o *mcptest.Options) {
		o.OnCopy = func(text string) {
			if !strings.Contains(text, "debug") {
				close(going)
				<-first
			}
		}
	})
	c := client(t, fleet.Node("east-0"))
	<-going
	c.Call("1", "logging/setLevel", `{"level":"debug"}`)
	// Were the later copy not held back, it would arrive now, before the older one.
	for end := time.Now().Add(200 * time.Millisecond); fleet.Copied("debug") == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	close(first)
	eventually(t, "both copies reached the east", func() bool { return fleet.Copied("debug") == 1 && fleet.Copied("") == 2 })
	fleet.KillCluster("west")
	call(c, "count")
	if east.saw("logging/setLevel") != 1 {
		t.Error("the level was not set anew")
	}
}

func TestServerDiesUnderACall(t *testing.T) {
	tests := []struct {
		why, tool string
		unsafe    bool
		want      string
	}{
		{"a tool that does not say it may be repeated", "hold", false,
			`error -32603 {"maybeExecuted":true,"reason":"ConnectError","region":"west","server":"math"}`},
		{"a tool that says so", "holdsafe", false, "east"},
		{"a tool that does not, where the policy allows it", "hold", true, "east"},
	}
	for _, tt := range tests {
		fleet, east, west := pair(t, func(o *mcptest.Options) { o.Failover.ReplayUnsafe = tt.unsafe })
		west.hold, east.hold = make(chan struct{}), make(chan struct{})
		close(east.hold)
		c := client(t, fleet.Node("east-0"))
		got := make(chan string)
		go func() { got <- call(c, tt.tool) }()
		<-west.held
		fleet.KillServer("west", "math")
		if text := <-got; text != tt.want {
			t.Errorf("%s: %s", tt.why, text)
		}
		if text := call(c, "count"); text != "east 1" {
			t.Errorf("%s: the session did not go on: %s", tt.why, text)
		}
	}
}

// Many calls are lost at once at a proxy that has never seen the list of tools:
// each finds out by itself whether it may be repeated.
func TestServerDiesUnderManyCalls(t *testing.T) {
	fleet, east, west := pair(t, nil)
	west.hold, east.hold = make(chan struct{}), make(chan struct{})
	close(east.hold)
	c := client(t, fleet.Node("east-0"))
	got := make(chan string)
	const calls = 40
	for range calls {
		go func() { got <- call(c, "holdsafe") }()
	}
	for range calls {
		<-west.held
	}
	fleet.KillServer("west", "math")
	for range calls {
		if text := <-got; text != "east" {
			t.Error(text)
		}
	}
}

func TestProxyDiesUnderACall(t *testing.T) {
	fleet, east, west := pair(t, nil)
	west.hold, east.hold = make(chan struct{}), make(chan struct{})
	close(east.hold)
	c := client(t, fleet.Node("east-0"))
	c.Call("1", "tools/list", "")
	got := make(chan string)
	go func() { got <- call(c, "hold") }()
	<-west.held
	fleet.KillProxy("west-0")
	if text := <-got; !strings.Contains(text, `"maybeExecuted":true`) {
		t.Error(text)
	}
	go func() { got <- call(c, "holdsafe") }()
	if text := <-got; text != "east" {
		t.Error(text)
	}
}

func TestLinksAreBlackHoled(t *testing.T) {
	fleet, _, west := pair(t, nil)
	c := client(t, fleet.Node("east-0"))
	call(c, "count")
	fleet.Hole("west", true)
	if got := call(c, "add"); got != "east" {
		t.Errorf("a safe call: %s", got)
	}
	before := fleet.Swallowed()
	if got := call(c, "count"); got != "east 1" || before == 0 || fleet.Swallowed() != before {
		t.Errorf("the entry proxy did not remember where the session lives: %s, %d and %d messages went into the hole", got, before, fleet.Swallowed()-before)
	}
	if west.ended() != 0 {
		t.Error("the loser could not have known")
	}
	fleet.Hole("west", false)
	eventually(t, "the overtaken session was ended at its server", func() bool { return west.ended() == 1 })
	if got := call(c, "count"); got != "east 2" {
		t.Errorf("after the partition: %s", got)
	}
}

// A proxy that does not know where a session went asks where it went first,
// and is sent on.
func TestAnotherEntryFindsTheSession(t *testing.T) {
	fleet, east, _ := pair(t, nil)
	c := client(t, fleet.Node("east-0"))
	fleet.Hole("west", true)
	call(c, "add")
	call(c, "count")
	fleet.Hole("west", false)
	other := &mcptest.Client{T: t, Handler: fleet.Node("west-0").Handler(), Session: c.Session, Version: c.Version}
	eventually(t, "the west learned of the move", func() bool { return fleet.Count("nave_mcp_sessions", nil) == 1 })
	if got := call(other, "count"); got != "east 2" {
		t.Errorf("got %s", got)
	}
	if east.started() != 1 {
		t.Errorf("initialised %d times", east.started())
	}
}

func TestReplicaDies(t *testing.T) {
	fleet, east, west := pair(t, func(o *mcptest.Options) { o.Replicas = 3 })
	c := client(t, fleet.Node("east-0"))
	call(c, "count")
	owner := ""
	for i := range 3 {
		if fleet.Node(fmt.Sprint("west-", i)).Gauge("nave_mcp_sessions") == 1 {
			owner = fmt.Sprint("west-", i)
		}
	}
	eventually(t, "a copy is in the same cluster", func() bool { return fleet.Copied("west-") >= 1 })
	fleet.KillProxy(owner)
	if got := call(c, "count"); got != "west 2" {
		t.Errorf("the very session was not taken over: %s", got)
	}
	fleet.StartProxy(owner)
	fresh := &mcptest.Client{T: t, Handler: fleet.Node("east-1").Handler(), Session: c.Session, Version: c.Version}
	if got := call(fresh, "count"); got != "west 3" {
		t.Errorf("the owner that came back did not ask who has it: %s", got)
	}
	if west.started() != 1 || east.started() != 0 {
		t.Errorf("initialised %d and %d times", west.started(), east.started())
	}
	if n := fleet.Count("nave_mcp_session_moves_total", map[string]string{"result": "restored"}); n != 2 {
		t.Errorf("%v restored", n)
	}
}
