package mcp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/mcp"
	"github.com/navehq/nave/proxy/mcp/mcptest"
)

// pair is a fleet of two clusters in which one server, math, answers in both.
func pair(t testing.TB, change func(*mcptest.Options)) (fleet *mcptest.Fleet, east, west *fake) {
	east, west = newFake("east"), newFake("west")
	o := mcptest.Options{
		Clusters: []string{"west", "east"},
		Servers:  []mcptest.Server{{Name: "math", Handlers: map[string]http.Handler{"east": east, "west": west}}},
	}
	if change != nil {
		change(&o)
	}
	return mcptest.New(t, o), east, west
}

func client(t testing.TB, n *mcptest.Node) *mcptest.Client {
	c := &mcptest.Client{T: t, Handler: n.Handler()}
	if a := c.Initialize("2025-06-18"); a.Status != 200 || c.Session == "" {
		t.Fatalf("initialize: %d %s", a.Status, a.Body)
	}
	return c
}

// call calls a tool and gives its text, or its error's code and message.
func call(c *mcptest.Client, tool string) string {
	c.T.Helper()
	m := c.Call("1", "tools/call", `{"name":"`+tool+`","arguments":{}}`)
	return say(m)
}

func say(m map[string]any) string {
	if e, ok := m["error"].(map[string]any); ok {
		data, _ := json.Marshal(e["data"])
		return fmt.Sprintf("error %v %s", e["code"], data)
	}
	content := m["result"].(map[string]any)["content"].([]any)
	return fmt.Sprint(content[0].(map[string]any)["text"])
}

func eventually(t testing.TB, why string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatal("it did not come to pass that " + why)
}

func TestOneServer(t *testing.T) {
	fleet, _, west := pair(t, nil)
	c := client(t, fleet.Node("east-0"))
	if got := call(c, "count") + ", " + call(c, "count"); got != "west 1, west 2" {
		t.Errorf("got %q", got)
	}
	list := c.Call("2", "tools/list", "")
	if n := len(list["result"].(map[string]any)["tools"].([]any)); n != 5 {
		t.Errorf("%d tools", n)
	}
	if m := c.Call(`"x"`, "no/such", ""); m["error"].(map[string]any)["code"] != -32601.0 || m["id"] != "x" {
		t.Errorf("an unknown method: %v", m)
	}
	if a := c.Do("POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`); a.Status != 202 || a.Body != "" {
		t.Errorf("a notification: %d %q", a.Status, a.Body)
	}
	if west.started() != 1 {
		t.Errorf("initialised %d times", west.started())
	}
	r := fleet.Node("east-0").Records()[1]
	if r.MCP.Method != "tools/call" || r.MCP.Server != "math" || r.MCP.Name != "count" || r.ServedBy != "west/AgentgatewayBackend ns/tools/math" || len(r.MCP.Session) != 12 {
		t.Errorf("record %+v, %+v", r, r.MCP)
	}
}

func TestSessionIsCheckedOnEveryDoor(t *testing.T) {
	fleet, _, _ := pair(t, nil)
	c := client(t, fleet.Node("west-0"))
	good := c.Session
	tests := []struct {
		why, session string
		principal    string
		want         int
	}{
		{"its own", good, "", 200},
		{"none", "", "", 400},
		{"garbage", "abc", "", 404},
		{"a flipped bit", good[:20] + string(good[20]^1) + good[21:], "", 404},
		{"another principal", good, "mallory", 404},
	}
	for _, tt := range tests {
		for _, method := range []string{"POST", "DELETE", "GET"} {
			if tt.want == 200 && method != "POST" {
				continue
			}
			x := &mcptest.Client{T: t, Handler: fleet.Node("east-0").Handler(), Session: tt.session, Header: http.Header{"X-Principal": {tt.principal}}}
			body := ""
			if method == "POST" {
				body = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
			}
			if a := x.Do(method, body); a.Status != tt.want {
				t.Errorf("%s with %s: %d, want %d", method, tt.why, a.Status, tt.want)
			}
		}
	}
}

func TestHTTPRules(t *testing.T) {
	fleet, _, _ := pair(t, func(o *mcptest.Options) { o.Limits.Body = 1000 })
	c := client(t, fleet.Node("west-0"))
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	tests := []struct {
		why, method, body string
		header            http.Header
		want              int
	}{
		{"fine", "POST", ping, nil, 200},
		{"a version that nobody speaks", "POST", ping, http.Header{"Mcp-Protocol-Version": {"2026-07-28"}}, 400},
		{"no version is taken", "POST", ping, http.Header{"Mcp-Protocol-Version": {""}}, 200},
		{"a foreign origin", "POST", ping, http.Header{"Origin": {"http://evil.example"}}, 403},
		{"a rebound name that is both Origin and Host, by loopback", "POST", ping, http.Header{"Origin": {"http://gateway"}}, 403},
		{"only JSON accepted", "POST", ping, http.Header{"Accept": {"application/json"}}, 406},
		{"anything accepted", "POST", ping, http.Header{"Accept": {"*/*"}}, 200},
		{"another content type", "POST", ping, http.Header{"Content-Type": {"text/plain"}}, 415},
		{"too long", "POST", `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("x", 1000) + `"}`, nil, 413},
		{"not JSON", "POST", `{`, nil, 400},
		{"a name twice", "POST", `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}`, nil, 400},
		{"a routed name in another case", "POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","Name":"count"}}`, nil, 400},
		{"a batch, by its version", "POST", "[" + ping + "]", nil, 400},
		{"another method", "PUT", "", nil, 405},
		{"GET without events", "GET", "", http.Header{"Accept": {"application/json"}}, 406},
		{"GET with a foreign event id", "GET", "", http.Header{"Last-Event-Id": {"zzz"}}, 400},
	}
	for _, tt := range tests {
		c.Header = tt.header
		if a := c.Do(tt.method, tt.body); a.Status != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.why, a.Status, a.Body, tt.want)
		}
	}
}

func TestBatch(t *testing.T) {
	fleet, _, west := pair(t, nil)
	west.version = "2025-03-26"
	c := &mcptest.Client{T: t, Handler: fleet.Node("west-0").Handler()}
	c.Initialize("2025-03-26")
	a := c.Do("POST", `[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"add"}}]`)
	var got []map[string]any
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil || len(got) != 2 || got[1]["id"] != 2.0 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestNothingOfTheClientsGoesThatMustNot(t *testing.T) {
	fleet, _, west := pair(t, nil)
	c := client(t, fleet.Node("east-0"))
	c.Header = http.Header{
		"Authorization": {"Bearer client"}, "Cookie": {"a=b"}, "Nave-Mcp-Op": {"end"}, "Nave-Mcp-Here": {"1"},
		"Nave-Mcp-Facts": {"x"}, "Traceparent": {"00-a-b-01"},
	}
	call(c, "add")
	west.mu.Lock()
	defer west.mu.Unlock()
	last := west.headers[len(west.headers)-1]
	for name := range last {
		if name == "Authorization" || name == "Cookie" || strings.HasPrefix(name, "Nave-") {
			t.Errorf("the server saw %s", name)
		}
	}
	if last.Get("Traceparent") == "" || last.Get("Mcp-Protocol-Version") != "2025-06-18" || last.Get("Mcp-Session-Id") == c.Session {
		t.Errorf("the server saw %v", last)
	}
}

func TestDeleteIsFinal(t *testing.T) {
	fleet, east, west := pair(t, nil)
	c := client(t, fleet.Node("east-0"))
	call(c, "count")
	if a := c.Do("DELETE", ""); a.Status != 204 {
		t.Errorf("DELETE: %d", a.Status)
	}
	eventually(t, "the server's session was ended", func() bool { return west.ended() == 1 })
	for _, n := range []string{"east-0", "west-0"} {
		x := &mcptest.Client{T: t, Handler: fleet.Node(n).Handler(), Session: c.Session, Version: c.Version}
		if a := x.Do("POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"count"}}`); a.Status != 404 {
			t.Errorf("after the end, at %s: %d %s", n, a.Status, a.Body)
		}
	}
	if east.started() != 0 || west.started() != 1 {
		t.Errorf("initialised %d and %d times", west.started(), east.started())
	}
}

func TestFailOpenAndClosed(t *testing.T) {
	for _, open := range []bool{false, true} {
		math, text := newFake("math"), newFake("text")
		fleet := mcptest.New(t, mcptest.Options{
			Clusters: []string{"west"}, MCP: table.MCP{FailOpen: open},
			Servers: []mcptest.Server{
				{Name: "math", Handlers: map[string]http.Handler{"west": math}},
				{Name: "text", Handlers: map[string]http.Handler{"west": text}},
			},
		})
		fleet.KillServer("west", "text")
		c := &mcptest.Client{T: t, Handler: fleet.Node("west-0").Handler()}
		a := c.Initialize("2025-06-18")
		if !open {
			if a.Status != 200 || c.Session != "" || !strings.Contains(a.Body, `"server":"text"`) {
				t.Errorf("closed: %d %s", a.Status, a.Body)
			}
			eventually(t, "the other server's session was ended", func() bool { return math.ended() == 1 })
			continue
		}
		if c.Session == "" {
			t.Fatalf("open: %d %s", a.Status, a.Body)
		}
		list := c.Call("2", "tools/list", "")
		if n := len(list["result"].(map[string]any)["tools"].([]any)); n != 5 {
			t.Errorf("open: %d tools", n)
		}
		if got := call(c, "math_add"); got != "math" {
			t.Errorf("open: %s", got)
		}
	}
}

func TestFederation(t *testing.T) {
	one, two := newFake("one"), newFake("two")
	fleet := mcptest.New(t, mcptest.Options{
		Clusters: []string{"west"},
		Servers: []mcptest.Server{
			{Name: "one", Handlers: map[string]http.Handler{"west": one}},
			{Name: "two", Handlers: map[string]http.Handler{"west": two}},
		},
	})
	c := client(t, fleet.Node("west-0"))
	if got := call(c, "one_add") + " " + call(c, "two_add"); got != "one two" {
		t.Error(got)
	}
	if m := c.Call("1", "tools/call", `{"name":"three_add"}`); m["error"].(map[string]any)["code"] != -32602.0 {
		t.Errorf("%v", m)
	}
	resources := fmt.Sprint(c.Call("1", "resources/list", "")["result"])
	if !strings.Contains(resources, "one+file:///one") || !strings.Contains(resources, "two+file:///two") {
		t.Error(resources)
	}
	if got := fmt.Sprint(c.Call("1", "resources/read", `{"uri":"two+file:///two"}`)["result"]); got != "map[contents:[map[text:from two uri:two+file:///two]]]" {
		t.Error(got)
	}
	c.Call("1", "logging/setLevel", `{"level":"info"}`)
	if one.saw("logging/setLevel") != 1 || two.saw("logging/setLevel") != 1 {
		t.Error("the level did not go to both")
	}
	c.Do("POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}`)
	if one.saw("notifications/cancelled") != 1 || two.saw("notifications/cancelled") != 1 {
		t.Error("the cancellation did not go to both")
	}
}

func TestNeverPrefix(t *testing.T) {
	one, two := newFake("one"), newFake("two")
	two.tools = `[{"name":"add"},{"name":"only"}]`
	fleet := mcptest.New(t, mcptest.Options{
		Clusters: []string{"west"}, MCP: table.MCP{Prefix: "Never"},
		Servers: []mcptest.Server{
			{Name: "one", Handlers: map[string]http.Handler{"west": one}},
			{Name: "two", Handlers: map[string]http.Handler{"west": two}},
		},
	})
	c := client(t, fleet.Node("west-0"))
	if got := call(c, "only") + " " + call(c, "add"); got != "two one" {
		t.Error(got)
	}
	if m := c.Call("1", "tools/call", `{"name":"none"}`); m["error"].(map[string]any)["code"] != -32602.0 {
		t.Errorf("%v", m)
	}
	if got := fmt.Sprint(c.Call("1", "resources/read", `{"uri":"file:///two"}`)["result"]); !strings.Contains(got, "from two") {
		t.Error(got)
	}
}

// The math server of the walk-through keeps no session, answers in an old
// version and gives 404 with a JSON-RPC error for methods that it does not know.
func TestServerWithoutSessions(t *testing.T) {
	fleet, east, west := pair(t, nil)
	for _, f := range []*fake{east, west} {
		f.lone, f.version = true, "2024-11-05"
	}
	c := &mcptest.Client{T: t, Handler: fleet.Node("east-0").Handler()}
	if a := c.Initialize("2025-06-18"); !strings.Contains(a.Body, `"protocolVersion":"2024-11-05"`) {
		t.Error(a.Body)
	}
	c.Version = "2024-11-05"
	if m := c.Call("1", "prompts/list", ""); fmt.Sprint(m["result"]) != "map[prompts:[]]" {
		t.Errorf("%v", m)
	}
	if got := call(c, "add"); got != "west" {
		t.Error(got)
	}
	eventually(t, "the copy says that there is no session to lose", func() bool { return fleet.Copied("stateless") > 0 })
	fleet.KillCluster("west")
	if got := call(c, "add"); got != "east" {
		t.Error(got)
	}
	if west.started() != 1 || east.started() != 1 {
		t.Errorf("initialised %d and %d times", west.started(), east.started())
	}
	if n := fleet.Count("nave_mcp_session_moves_total", map[string]string{"result": "reinitialised"}); n != 0 {
		t.Errorf("%v moves counted although nothing was lost", n)
	}
}

func TestStatelessBackend(t *testing.T) {
	fleet, _, west := pair(t, func(o *mcptest.Options) { o.MCP.Stateless = true })
	c := &mcptest.Client{T: t, Handler: fleet.Node("west-0").Handler()}
	if a := c.Initialize("2025-06-18"); a.Status != 200 || c.Session != "" {
		t.Errorf("%d %q", a.Status, c.Session)
	}
	if got := call(c, "count") + " " + call(c, "count"); got != "west 1 west 1" {
		t.Error(got)
	}
	eventually(t, "every passing session was ended", func() bool { return west.live() == 0 })
	if a := c.Do("GET", ""); a.Status != 405 {
		t.Errorf("GET: %d", a.Status)
	}
}

func TestCredentials(t *testing.T) {
	tests := []struct {
		why  string
		auth *table.Auth
		want string // the header that the server sees, "!" for a refusal
	}{
		{"none declared: the client's own stays with the gateway", nil, ""},
		{"passed on where declared", &table.Auth{Kind: table.AuthPassthrough}, "Bearer client"},
		{"a key", &table.Auth{Kind: table.AuthKey, Secret: "tool-key", Key: "Authorization"}, "Bearer s3cret"},
		{"a key that is missing", &table.Auth{Kind: table.AuthKey, Secret: "none", Key: "k"}, "!"},
		{"a kind that is not for tools", &table.Auth{Kind: table.AuthAzureAmbient}, "!"},
	}
	for _, tt := range tests {
		fleet, _, west := pair(t, func(o *mcptest.Options) {
			o.Clusters, o.Servers[0].Auth = []string{"west"}, tt.auth
			o.Secrets = []*table.Secret{{Name: "tool-key", Data: map[string][]byte{"Authorization": []byte("s3cret\n")}}}
		})
		c := &mcptest.Client{T: t, Handler: fleet.Node("west-0").Handler(), Header: http.Header{"Authorization": {"Bearer client"}}}
		a := c.Initialize("2025-06-18")
		if tt.want == "!" {
			if c.Session != "" || west.started() != 0 || strings.Contains(a.Body, "s3cret") {
				t.Errorf("%s: %s", tt.why, a.Body)
			}
			continue
		}
		if got := west.headers[0].Get("Authorization"); got != tt.want {
			t.Errorf("%s: the server saw %q", tt.why, got)
		}
	}
}

// Without keys in its table a proxy seals by one of its own, which no other has.
func TestWithoutKeys(t *testing.T) {
	fleet, _, _ := pair(t, func(o *mcptest.Options) { o.NoKeys = true })
	c := client(t, fleet.Node("west-0"))
	call(c, "add")
	c.Handler = fleet.Node("east-0").Handler()
	if a := c.Do("POST", `{"jsonrpc":"2.0","id":1,"method":"ping"}`); a.Status != 404 {
		t.Errorf("%d", a.Status)
	}
}

func TestNoCandidate(t *testing.T) {
	fleet, _, _ := pair(t, nil)
	c := client(t, fleet.Node("west-0"))
	fleet.Reject("west", "math", true)
	if got := call(c, "count"); got != "east 1" {
		t.Errorf("a session whose cluster is set aside: %s", got)
	}
	fleet.Reject("east", "math", true)
	if got := call(c, "count"); !strings.Contains(got, `"maybeExecuted":false`) {
		t.Errorf("nobody left: %s", got)
	}
	fleet.Reject("east", "math", false)
	if got := call(c, "count"); got != "east 2" {
		t.Errorf("the session did not go on: %s", got)
	}
}

func TestOldSessionsEnd(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	fleet, _, west := pair(t, func(o *mcptest.Options) {
		o.Now = clock
		o.Limits = mcp.Limits{Life: time.Hour, Idle: 50 * time.Millisecond, Sessions: 2}
	})
	c := client(t, fleet.Node("west-0"))
	call(c, "count")
	mu.Lock()
	now = now.Add(time.Minute)
	mu.Unlock()
	eventually(t, "the idle session was ended", func() bool { return west.ended() == 1 })
	if got := call(c, "count"); got != "west 1" {
		t.Errorf("the session did not go on: %s", got)
	}
	client(t, fleet.Node("west-0"))
	client(t, fleet.Node("west-0"))
	eventually(t, "the longest unused of too many was ended", func() bool { return west.ended() == 2 })
	mu.Lock()
	now = now.Add(2 * time.Hour)
	mu.Unlock()
	if a := c.Do("POST", `{"jsonrpc":"2.0","id":1,"method":"ping"}`); a.Status != 404 {
		t.Errorf("a session beyond its life: %d", a.Status)
	}
}

func TestGreeting(t *testing.T) {
	fleet, _, _ := pair(t, nil)
	c := &mcptest.Client{T: t, Handler: fleet.Node("west-0").Handler()}
	var got map[string]any
	if err := json.Unmarshal([]byte(c.Initialize("2025-11-25").Body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"jsonrpc": "2.0", "id": "init", "result": map[string]any{
		"protocolVersion": "2025-06-18",
		"capabilities":    map[string]any{"tools": map[string]any{"listChanged": true}, "resources": map[string]any{"subscribe": true}, "logging": map[string]any{}},
		"serverInfo":      map[string]any{"name": "nave", "version": "test"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
