package mcp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/mcp/mcptest"
)

// noStream is a server without a route for GET, as web frameworks have it.
type noStream struct {
	*fake
	asked chan struct{}
}

func (n noStream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		http.Error(w, "Cannot GET /mcp", http.StatusNotFound)
		return
	}
	n.fake.ServeHTTP(w, r)
	select {
	case n.asked <- struct{}{}:
	default:
	}
}

// TestAServerWithoutAStreamKeepsItsSessions: its 404 to GET is no lost session.
func TestAServerWithoutAStreamKeepsItsSessions(t *testing.T) {
	west := noStream{newFake("west"), make(chan struct{}, 100)}
	fleet := mcptest.New(t, mcptest.Options{
		Clusters: []string{"west"},
		Servers:  []mcptest.Server{{Name: "math", Handlers: map[string]http.Handler{"west": west}}},
	})
	c := client(t, fleet.Node("west-0"))
	if got := call(c, "count"); got != "west 1" {
		t.Fatal(got)
	}
	for len(west.asked) > 0 {
		<-west.asked
	}
	c.Open("GET", "")
	select {
	case <-west.asked: // whether it still knows the session
	case <-time.After(5 * time.Second):
		t.Fatal("it is not asked whether it knows the session")
	}
	if got := call(c, "count"); got != "west 2" || west.started() != 1 {
		t.Errorf("%s after %d beginnings", got, west.started())
	}
}

// breaking is a server whose list breaks off after an event id, and goes on where
// a client resumes it.
type breaking struct{ *fake }

func (b breaking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, resumed := strings.CutPrefix(r.Header.Get("Last-Event-ID"), "list-")
	if r.Method == http.MethodGet && resumed {
		b.say(w, id)
		return
	}
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		var m rpc
		if json.Unmarshal(body, &m) == nil && m.Method == "tools/list" {
			b.say(w, string(m.ID))
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	b.fake.ServeHTTP(w, r)
}

func (b breaking) say(w http.ResponseWriter, id string) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "id: list-%s\nretry: 1\ndata: \n\nid: list-%s\ndata: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"tools\":%s}}\n\n", id, id, id, b.tools)
}

// TestListsCannotBeResumedPastTheirRules: what a list may not show is not shown by
// its stream's rest either.
func TestListsCannotBeResumedPastTheirRules(t *testing.T) {
	deny := rules("", table.Authorization{Action: table.Deny, Expressions: []string{`mcp.tool.name == "hold"`}})
	east, _, servers, fakes := twoUnlike(t, []string{"math"}, map[string][]table.Resource{"east": deny, "west": deny})
	fakes["west"].version = "2025-11-25"
	servers["west"].Config.Handler = breaking{fakes["west"]}
	c := east.through(t)
	c.Initialize("2025-11-25")
	list := c.Do("POST", `{"jsonrpc":"2.0","id":7,"method":"tools/list"}`)
	if !strings.Contains(list.Body, `"count"`) || strings.Contains(list.Body, `"hold"`) {
		t.Fatalf("the list is %s", list.Body)
	}
	for line := range strings.Lines(list.Body) {
		id, ok := strings.CutPrefix(line, "id: ")
		if !ok {
			continue
		}
		c.Header = http.Header{"Last-Event-Id": {strings.TrimSpace(id)}}
		if rest := c.Do("GET", ""); strings.Contains(rest.Body, `"hold"`) {
			t.Errorf("resumed, it is %s", rest.Body)
		}
	}
}

// TestNothingIsLeftOfClientsThatGo: a stateless endpoint's session at the server
// ends with the client's request, also where the client does not wait.
func TestNothingIsLeftOfClientsThatGo(t *testing.T) {
	fleet, _, west := pair(t, func(o *mcptest.Options) { o.MCP.Stateless = true })
	west.hold = make(chan struct{})
	server := httptest.NewServer(fleet.Node("west-0").Handler())
	defer server.Close()
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hold","arguments":{}}}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Content-Type", "application/json")
		done := make(chan struct{})
		go func() {
			defer close(done)
			if resp, err := http.DefaultClient.Do(r); err == nil {
				resp.Body.Close()
			}
		}()
		<-west.held
		cancel()
		<-done
	}
	close(west.hold)
	for end := time.Now().Add(10 * time.Second); west.live() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d sessions are left at the server", west.live())
		}
	}
}
