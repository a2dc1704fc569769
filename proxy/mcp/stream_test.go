package mcp_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/proxy/mcp/mcptest"
)

// A server asks the client in the middle of a call; the answer comes by another
// request, through another proxy, and finds the server that asked.
func TestServerAsksClient(t *testing.T) {
	one, two := newFake("one"), newFake("two")
	fleet := mcptest.New(t, mcptest.Options{
		Clusters: []string{"west", "east"},
		Servers: []mcptest.Server{
			{Name: "one", Handlers: map[string]http.Handler{"west": one}},
			{Name: "two", Handlers: map[string]http.Handler{"west": two}},
		},
	})
	c := client(t, fleet.Node("east-0"))
	w := c.Open("POST", `{"jsonrpc":"2.0","id":"q","method":"tools/call","params":{"name":"two_ask"}}`)
	eventually(t, "the question came", func() bool { return w.Find("sampling/createMessage") != "" })
	var asked struct {
		ID     string `json:"id"`
		Params struct {
			Meta struct {
				ProgressToken string `json:"progressToken"`
			} `json:"_meta"`
		} `json:"params"`
	}
	line := strings.TrimPrefix(w.Find("sampling/createMessage"), "data: ")
	if err := json.Unmarshal([]byte(line), &asked); err != nil || len(asked.ID) < 20 || len(asked.Params.Meta.ProgressToken) < 20 {
		t.Fatalf("%s: %v", line, err)
	}
	if w.Find("id: ") == "id: 7" {
		t.Error("the server's event id went to the client as it was")
	}
	other := &mcptest.Client{T: t, Handler: fleet.Node("west-0").Handler(), Session: c.Session, Version: c.Version}
	other.Do("POST", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"`+asked.Params.Meta.ProgressToken+`","progress":1}}`)
	if two.saw(`"progressToken":5`) != 1 || one.saw("progressToken") != 0 {
		t.Error("progress did not go to the server that asked for it, alone")
	}
	stranger := client(t, fleet.Node("west-0"))
	for _, bad := range []*mcptest.Client{stranger, other} {
		id := asked.ID
		if bad == other {
			id = "41" // the server's own
		}
		if a := bad.Do("POST", `{"jsonrpc":"2.0","id":"`+id+`","result":{"forged":true}}`); a.Status != 202 {
			t.Errorf("%d", a.Status)
		}
	}
	if a := other.Do("POST", `{"jsonrpc":"2.0","id":"`+asked.ID+`","result":{"role":"user"}}`); a.Status != 202 {
		t.Errorf("%d", a.Status)
	}
	<-w.Done()
	if got := w.Find(`"id":"q"`); !strings.Contains(got, `41 {\"role\":\"user\"}`) {
		t.Errorf("the call was answered with %q", got)
	}
	if two.saw("forged")+one.saw("forged") != 0 {
		t.Error("a forged answer came through")
	}
}

func TestStreamMergesServers(t *testing.T) {
	one, two := newFake("one"), newFake("two")
	fleet := mcptest.New(t, mcptest.Options{
		Clusters: []string{"west"},
		Servers: []mcptest.Server{
			{Name: "one", Handlers: map[string]http.Handler{"west": one}},
			{Name: "two", Handlers: map[string]http.Handler{"west": two}},
		},
	})
	c := client(t, fleet.Node("west-0"))
	w := c.Open("GET", "")
	one.push(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///a"}}`)
	two.push(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}`)
	eventually(t, "both servers were heard", func() bool { return w.Find("one+file:///a") != "" && w.Find("notifications/message") != "" })
	ids := 0
	for _, l := range w.Lines() {
		if strings.HasPrefix(l, "id: ") {
			ids++
		}
	}
	if ids != 2 {
		t.Errorf("%d event ids in %v", ids, w.Lines())
	}
	again := c.Open("GET", "")
	select {
	case <-w.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the older stream did not end when another took its place")
	}
	eventually(t, "the new stream was heard on", func() bool {
		two.push(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"y"}}`)
		return again.Find(`"y"`) != ""
	})
	c.Do("DELETE", "")
	select {
	case <-again.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the stream went on after DELETE")
	}
}

// A client that listens learns that the tools of the server that took over are
// others than those that it was shown.
func TestMoveTellsOfOtherTools(t *testing.T) {
	for _, same := range []bool{true, false} {
		fleet, east, west := pair(t, nil)
		if !same {
			east.tools = `[{"name":"other"}]`
		}
		c := client(t, fleet.Node("east-0"))
		c.Call("1", "tools/list", "")
		w := c.Open("GET", "")
		eventually(t, "the west's stream is open", func() bool { return west.saw("GET") == 1 })
		eventually(t, "the copy says what tools were shown", func() bool { return fleet.Copied(`"digest"`) > 0 })
		fleet.KillCluster("west")
		call(c, "add")
		eventually(t, "the east's stream is open", func() bool { return east.saw("GET") == 1 })
		eventually(t, "the tools were compared", func() bool { return east.saw("tools/list") >= 1 })
		if same {
			east.push(`{"jsonrpc":"2.0","method":"notifications/message","params":{}}`)
			eventually(t, "the stream goes on", func() bool { return w.Find("notifications/message") != "" })
			if w.Find("list_changed") != "" {
				t.Error("a change was told although nothing had changed")
			}
			continue
		}
		eventually(t, "the change was told", func() bool { return w.Find("notifications/tools/list_changed") != "" })
	}
}

// A server may end a stream before the answer and be asked for the rest; so may
// a client lose it and ask.
func TestBrokenStreamsAreResumed(t *testing.T) {
	fleet, _, west := pair(t, nil)
	west.version = "2025-11-25"
	c := &mcptest.Client{T: t, Handler: fleet.Node("east-0").Handler()}
	c.Initialize("2025-11-25")
	a := c.Do("POST", `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"poll"}}`)
	if !strings.Contains(a.Body, "the rest") || fleet.Moves() != 0 {
		t.Errorf("%s, %d moves", a.Body, fleet.Moves())
	}
	id := ""
	for line := range strings.Lines(a.Body) {
		if text, ok := strings.CutPrefix(line, "id: "); ok {
			id = strings.TrimSpace(text)
		}
	}
	if id == "" || strings.Contains(id, "poll") {
		t.Fatalf("the stream was not opened by an event with a sealed id: %s", a.Body)
	}
	c.Header = http.Header{"Last-Event-Id": {id}}
	if a := c.Do("GET", ""); a.Status != 200 || !strings.Contains(a.Body, "the rest") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	stranger := &mcptest.Client{T: t, Handler: fleet.Node("east-0").Handler(), Header: c.Header}
	stranger.Initialize("2025-11-25")
	if a := stranger.Do("GET", ""); a.Status != 400 {
		t.Errorf("another session's event id: %d", a.Status)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	fleet, _, _ := pair(t, func(o *mcptest.Options) { o.Limits.Streams = 1 })
	c := client(t, fleet.Node("west-0"))
	c.Open("GET", "")
	if a := c.Do("GET", ""); a.Status != 429 {
		t.Errorf("a second stream: %d", a.Status)
	}
}

func TestSilentStreamsBeat(t *testing.T) {
	fleet, _, west := pair(t, func(o *mcptest.Options) { o.Limits.Heartbeat = 10 * time.Millisecond })
	west.hold = make(chan struct{})
	c := client(t, fleet.Node("west-0"))
	w := c.Open("POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask"}}`)
	eventually(t, "a comment came", func() bool { return w.Comments() > 1 })
}

// old is a server of the transport of 2024-11-05.
type old struct {
	mu      sync.Mutex
	next    int
	streams map[string]chan string
	posts   []string
	name    string
}

func (o *old) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == "GET" && r.URL.Path == "/sse" {
		o.mu.Lock()
		o.next++
		id := fmt.Sprint(o.next)
		out := make(chan string, 16)
		o.streams[id] = out
		o.mu.Unlock()
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "event: endpoint\ndata: /messages?session=%s\n\n", id)
		w.(http.Flusher).Flush()
		for {
			select {
			case text, ok := <-out:
				if !ok {
					return
				}
				fmt.Fprintf(w, "event: message\ndata: %s\n\n", text)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
	o.mu.Lock()
	out := o.streams[r.URL.Query().Get("session")]
	o.mu.Unlock()
	if out == nil || r.URL.Path != "/messages" {
		http.Error(w, "no such session", 404)
		return
	}
	var m rpc
	_ = json.NewDecoder(r.Body).Decode(&m)
	o.mu.Lock()
	o.posts = append(o.posts, m.Method)
	o.mu.Unlock()
	w.WriteHeader(202)
	result := ""
	switch m.Method {
	case "initialize":
		result = `{"protocolVersion":"2024-11-05","capabilities":{"tools":{}},"serverInfo":{"name":"old","version":"1"}}`
	case "tools/list":
		result = `{"tools":[{"name":"say"}]}`
	case "tools/call":
		out <- `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"on it"}}`
		result = `{"content":[{"type":"text","text":"` + o.name + `"}]}`
	}
	if result != "" {
		out <- fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
	}
}

func (o *old) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, out := range o.streams {
		close(out)
		delete(o.streams, id)
	}
}

func TestServerOf20241105(t *testing.T) {
	server := &old{streams: map[string]chan string{}, name: "old"}
	fleet := mcptest.New(t, mcptest.Options{
		Clusters: []string{"west", "east"},
		Servers:  []mcptest.Server{{Name: "old", SSE: true, Handlers: map[string]http.Handler{"west": server}}},
	})
	c := &mcptest.Client{T: t, Handler: fleet.Node("east-0").Handler()}
	if a := c.Initialize("2025-06-18"); c.Session == "" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	a := c.Do("POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"say"}}`)
	if got := a.Messages(); len(got) != 2 || !strings.Contains(got[0], "on it") || !strings.Contains(got[1], `"text":"old"`) {
		t.Errorf("%d %q", a.Status, a.Body)
	}
	server.drop()
	if got := call(c, "say"); got != "old" {
		t.Errorf("after the stream broke: %s", got)
	}
	if server.next != 2 {
		t.Errorf("%d connections", server.next)
	}
	if n := fleet.Count("nave_mcp_session_moves_total", map[string]string{"result": "reinitialised"}); n != 1 {
		t.Errorf("%v moves counted", n)
	}
}

// FuzzPost holds that nothing a client posts, under whatever headers, kills a
// proxy or reaches another's session.
func FuzzPost(f *testing.F) {
	fleet, _, west := pair(f, nil)
	west.version = "2025-03-26"
	mine, other := client(f, fleet.Node("west-0")), client(f, fleet.Node("west-0"))
	call(other, "count")
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"count"}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"eyJhIjoiNyJ9"}}]`,
		`{"jsonrpc":"2.0","id":"AgJrMQ","result":{}}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"AgJrMQ"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"x","capabilities":[],"clientInfo":7}}`,
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":{}}}`,
		"{", "[]", "\xff\xfe", `{"jsonrpc":"2.0","id":null,"error":{}}`,
	} {
		f.Add(s, mine.Session, "2025-03-26")
		f.Add(s, "", "")
	}
	f.Fuzz(func(t *testing.T, body, id, version string) {
		if id == other.Session || strings.Contains(body, `"hold`) || strings.Contains(body, `"ask"`) || strings.ContainsAny(id+version, "\r\n\x00") {
			return
		}
		x := &mcptest.Client{T: t, Handler: fleet.Node("west-0").Handler(), Session: id, Version: version}
		if a := x.Do("POST", body); a.Status < 200 || a.Status >= 600 || a.Status == 500 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		west.mu.Lock()
		defer west.mu.Unlock()
		for sid, s := range west.sessions {
			if sid == "west-2" && s.count != 1 {
				t.Fatalf("another session was reached by %q", body)
			}
		}
	})
}

// FuzzOrder holds that nothing that comes over the link kills a proxy.
func FuzzOrder(f *testing.F) {
	fleet, _, _ := pair(f, nil)
	session := base64.RawURLEncoding.EncodeToString([]byte(
		`{"h":"00000000000000000000000000000000","t":"acme","b":"AgentgatewayBackend ns/tools","a":"2025-06-18"}`))
	f.Add("message", session, "MQ", `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	f.Add("copy", session, "", `{"handle":"00000000000000000000000000000000","server":"math","cluster":"east"}`)
	f.Add("tell", "zz", "!", "")
	f.Add("end", session, "", "")
	f.Add("resume", session, "", "")
	f.Add("open", session, "", "")
	f.Fuzz(func(t *testing.T, op, facts, last, body string) {
		if op == "stream" || op == "resume" && last != "" || // these answer for as long as they are listened to
			strings.Contains(body, `"hold`) || strings.Contains(body, `"ask"`) {
			return
		}
		status := fleet.Node("west-0").Order("math", map[string]string{
			"nave-mcp-op": op, "nave-mcp-server": "math", "nave-mcp-facts": facts, "nave-mcp-last-event-id": last,
		}, body)
		if status == 0 {
			t.Error("no answer")
		}
	})
}
