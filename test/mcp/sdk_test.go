// Package mcp_test drives proxies that carry MCP with the official Go kit: its
// client in front, its server behind, and a region lost between them.
package mcp_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/navehq/nave/proxy/mcp/mcptest"
	"github.com/navehq/nave/test/simulators/tools"
)

// fleet is two clusters, in both of which the kit's server answers as "kit".
func fleet(t *testing.T, path string, replicas int) (f *mcptest.Fleet, west, east *tools.Server) {
	west, east = tools.New(tools.Options{Region: "west"}), tools.New(tools.Options{Region: "east"})
	f = mcptest.New(t, mcptest.Options{
		Clusters: []string{"west", "east"}, Replicas: replicas,
		Servers: []mcptest.Server{{
			Name: "kit", Path: path, SSE: path == "/sse",
			Handlers: map[string]http.Handler{"west": west, "east": east},
		}},
	})
	return f, west, east
}

// connect begins a session of the kit's client at a proxy. The kit repeats
// nothing by itself.
func connect(t *testing.T, n *mcptest.Node, o *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	front := httptest.NewServer(n.Handler())
	t.Cleanup(front.Close)
	t.Cleanup(front.CloseClientConnections)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, o)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: front.URL + "/mcp", MaxRetries: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

func call(t *testing.T, s *mcp.ClientSession, tool string, arguments map[string]any) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := s.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		return "", err
	}
	text, _ := r.Content[0].(*mcp.TextContent)
	if r.IsError {
		return "", fmt.Errorf("tool %s: %s", tool, text.Text)
	}
	return text.Text, nil
}

func must(t *testing.T, s *mcp.ClientSession, tool string, arguments map[string]any, want string) {
	t.Helper()
	if got, err := call(t, s, tool, arguments); err != nil || got != want {
		t.Errorf("%s: got %q, %v, want %q", tool, got, err, want)
	}
}

func eventually(t *testing.T, why string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatal("it did not come to pass that " + why)
}

// transports are the ways to the server; every test of what clients see holds
// for each.
var transports = map[string]string{"streamable": "/mcp", "stateless": "/stateless", "sse": "/sse"}

func TestKit(t *testing.T) {
	for name, path := range transports {
		t.Run(name, func(t *testing.T) {
			f, _, _ := fleet(t, path, 2)
			s := connect(t, f.Node("east-0"), nil)
			must(t, s, "add", map[string]any{"a": 2, "b": 3}, "5")
			must(t, s, "where", nil, "tools in west")
			list, err := s.ListTools(t.Context(), nil)
			if err != nil || len(list.Tools) < 8 {
				t.Fatalf("%v, %v", list, err)
			}
			if _, err := s.ListResources(t.Context(), nil); err != nil {
				t.Error(err)
			}
			if _, err := s.ListPrompts(t.Context(), nil); err != nil {
				t.Error(err)
			}
			if err := s.Ping(t.Context(), nil); err != nil {
				t.Error(err)
			}
			if _, err := call(t, s, "none", nil); err == nil {
				t.Error("a tool that there is not was called")
			}
		})
	}
}

func TestSessionsCount(t *testing.T) {
	f, _, _ := fleet(t, "/mcp", 2)
	one, two := connect(t, f.Node("east-0"), nil), connect(t, f.Node("east-1"), nil)
	must(t, one, "count", nil, "1")
	must(t, one, "count", nil, "2")
	must(t, two, "count", nil, "1")
}

func TestServerAsksAndTells(t *testing.T) {
	for name, path := range map[string]string{"streamable": "/mcp", "sse": "/sse"} {
		t.Run(name, func(t *testing.T) {
			f, _, _ := fleet(t, path, 2)
			var steps atomic.Int32
			logged, changed := make(chan string, 8), make(chan struct{}, 8)
			s := connect(t, f.Node("east-1"), &mcp.ClientOptions{
				CreateMessageHandler: func(_ context.Context, r *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
					return &mcp.CreateMessageResult{Role: "assistant", Model: "m", Content: &mcp.TextContent{Text: "hello"}}, nil
				},
				ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
					return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"word": "swordfish"}}, nil
				},
				ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) { steps.Add(1) },
				LoggingMessageHandler: func(_ context.Context, r *mcp.LoggingMessageRequest) {
					logged <- fmt.Sprint(r.Params.Data)
				},
				ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { changed <- struct{}{} },
			})
			must(t, s, "sample", map[string]any{"text": "say"}, "the model said: hello")
			must(t, s, "elicit", map[string]any{"text": "word?"}, "the user said: swordfish")
			params := &mcp.CallToolParams{Name: "progress", Arguments: map[string]any{"steps": 3}}
			params.SetProgressToken("p1")
			if _, err := s.CallTool(t.Context(), params); err != nil {
				t.Error(err)
			}
			eventually(t, "three steps were reported", func() bool { return steps.Load() == 3 })
			if err := s.SetLoggingLevel(t.Context(), &mcp.SetLoggingLevelParams{Level: "info"}); err != nil {
				t.Error(err)
			}
			must(t, s, "log", map[string]any{"level": "info", "text": "listen"}, "logged")
			select {
			case got := <-logged:
				if !strings.Contains(got, "listen") {
					t.Error(got)
				}
			case <-time.After(5 * time.Second):
				t.Error("nothing was logged")
			}
			must(t, s, "toggle", nil, "extra is there")
			select {
			case <-changed:
			case <-time.After(5 * time.Second):
				t.Error("the change of the list was not told")
			}
		})
	}
}

// The server forgets its sessions; the kit's client, which would give up on
// 404, does not notice.
func TestForgottenSessionGoesOn(t *testing.T) {
	for name, path := range map[string]string{"streamable": "/mcp", "sse": "/sse"} {
		t.Run(name, func(t *testing.T) {
			f, west, _ := fleet(t, path, 1)
			s := connect(t, f.Node("east-0"), nil)
			must(t, s, "count", nil, "1")
			id := s.ID()
			west.Forget()
			must(t, s, "count", nil, "1")
			must(t, s, "where", nil, "tools in west")
			if s.ID() != id {
				t.Error("the session id changed")
			}
		})
	}
}

// A region is killed under load: safe calls are all answered, the sessions keep
// their ids, and each is initialised anew exactly once.
func TestRegionIsKilledUnderLoad(t *testing.T) {
	for name, path := range transports {
		t.Run(name, func(t *testing.T) {
			f, _, east := fleet(t, path, 2)
			const clients = 8
			var wrong, done atomic.Int32
			var killed sync.WaitGroup
			killed.Add(1)
			var work sync.WaitGroup
			for i := range clients {
				s := connect(t, f.Node(fmt.Sprintf("east-%d", i%2)), nil)
				if _, err := s.ListTools(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				work.Go(func() {
					for n := range 60 {
						if got, err := call(t, s, "add", map[string]any{"a": n, "b": i}); err != nil || got != fmt.Sprint(n+i) {
							wrong.Add(1)
							t.Errorf("call %d of client %d: %q, %v", n, i, got, err)
						}
						if done.Add(1) == clients*20 {
							killed.Done()
						}
					}
					must(t, s, "where", nil, "tools in east")
				})
			}
			killed.Wait()
			f.KillCluster("west")
			work.Wait()
			if n := east.Stats().Methods["initialize"]; path == "/mcp" && n != clients {
				t.Errorf("%d sessions were begun in the east, want %d", n, clients)
			}
			if path == "/mcp" {
				moves := f.Count("nave_mcp_session_moves_total", map[string]string{"result": "reinitialised"})
				if moves != clients {
					t.Errorf("%v moves counted, want %d", moves, clients)
				}
			}
		})
	}
}

// A listener's stream follows its session to the region that took over.
func TestListenerFollows(t *testing.T) {
	f, _, east := fleet(t, "/mcp", 1)
	changed := make(chan struct{}, 8)
	s := connect(t, f.Node("east-0"), &mcp.ClientOptions{
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { changed <- struct{}{} },
	})
	must(t, s, "where", nil, "tools in west")
	f.KillCluster("west")
	must(t, s, "where", nil, "tools in east")
	eventually(t, "the stream is open in the east", func() bool { return east.Stats().Requests["GET /mcp 200"] > 0 || east.Stats().Sessions > 0 })
	eventually(t, "a change in the east was told", func() bool {
		if _, err := call(t, s, "toggle", nil); err != nil {
			t.Error(err)
		}
		select {
		case <-changed:
			return true
		case <-time.After(300 * time.Millisecond):
			return false
		}
	})
}

func TestReplicaIsKilled(t *testing.T) {
	f, west, _ := fleet(t, "/mcp", 2)
	s := connect(t, f.Node("east-0"), nil)
	must(t, s, "count", nil, "1")
	owner := "west-0"
	if f.Node("west-1").Gauge("nave_mcp_sessions") == 1 {
		owner = "west-1"
	}
	eventually(t, "a copy is in the same cluster", func() bool { return f.Copied("west-") > 0 })
	f.KillProxy(owner)
	must(t, s, "count", nil, "2")
	if n := west.Stats().Methods["initialize"]; n != 1 {
		t.Errorf("initialised %d times", n)
	}
}

// The plain math server of the walk-through works, by itself and beside another.
func TestMath(t *testing.T) {
	for _, both := range []bool{false, true} {
		o := mcptest.Options{Clusters: []string{"west"}, Servers: []mcptest.Server{
			{Name: "math", Handlers: map[string]http.Handler{"west": tools.Math()}},
		}}
		add := "add"
		if both {
			add = "math_add"
			o.Servers = append(o.Servers, mcptest.Server{Name: "kit", Handlers: map[string]http.Handler{"west": tools.New(tools.Options{})}})
		}
		f := mcptest.New(t, o)
		s := connect(t, f.Node("west-0"), nil)
		must(t, s, add, map[string]any{"a": 20, "b": 22}, "42")
		if _, err := s.ListPrompts(t.Context(), nil); err != nil {
			t.Errorf("a method that math does not know: %v", err)
		}
	}
}
