package tools_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/navehq/nave/test/simulators/tools"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// client is the official one, with everything that a server may ask of it.
type client struct {
	mu       sync.Mutex
	progress []float64
	logs     []string
	changes  int
}

func (c *client) note(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *client) connect(t *testing.T, transport mcp.Transport) *mcp.ClientSession {
	t.Helper()
	kit := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		CreateMessageHandler: func(_ context.Context, r *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			asked := r.Params.Messages[0].Content.(*mcp.TextContent).Text
			return &mcp.CreateMessageResult{Model: "m", Role: "assistant", Content: &mcp.TextContent{Text: strings.ToUpper(asked)}}, nil
		},
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"word": "blue"}}, nil
		},
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			c.note(func() { c.progress = append(c.progress, r.Params.Progress) })
		},
		LoggingMessageHandler: func(_ context.Context, r *mcp.LoggingMessageRequest) {
			c.note(func() { c.logs = append(c.logs, fmt.Sprint(r.Params.Level, r.Params.Data)) })
		},
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { c.note(func() { c.changes++ }) },
	})
	session, err := kit.Connect(t.Context(), transport, nil)
	check(t, err)
	t.Cleanup(func() { session.Close() })
	return session
}

func call(t *testing.T, session *mcp.ClientSession, name string, arguments map[string]any) *mcp.CallToolResult {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		t.Fatalf("calling %s: %v", name, err)
	}
	return result
}

func words(result *mcp.CallToolResult) string {
	var all []string
	for _, content := range result.Content {
		if text, ok := content.(*mcp.TextContent); ok {
			all = append(all, text.Text)
		}
	}
	return strings.Join(all, " ")
}

// ways are the transports of one server, each with a session of its own.
func ways(t *testing.T, options tools.Options, use func(*testing.T, *tools.Server, *client, *mcp.ClientSession)) {
	for name, transport := range map[string]func(string) mcp.Transport{
		"streamable": func(url string) mcp.Transport { return &mcp.StreamableClientTransport{Endpoint: url + "/mcp"} },
		"sse":        func(url string) mcp.Transport { return &mcp.SSEClientTransport{Endpoint: url + "/sse"} },
	} {
		t.Run(name, func(t *testing.T) {
			server := tools.New(options)
			front := httptest.NewServer(server)
			t.Cleanup(front.CloseClientConnections)
			c := &client{}
			use(t, server, c, c.connect(t, transport(front.URL)))
		})
	}
}

func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !met(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

func TestTools(t *testing.T) {
	ways(t, tools.Options{Name: "west", Region: "westus2"}, func(t *testing.T, server *tools.Server, _ *client, session *mcp.ClientSession) {
		for _, test := range []struct {
			name      string
			arguments map[string]any
			want      string
			isError   bool
		}{
			{"add", map[string]any{"a": 2, "b": 3}, "5", false},
			{"multiply", map[string]any{"a": 4, "b": 5}, "20", false},
			{"where", nil, "west in westus2", false},
			{"count", nil, "1", false},
			{"count", nil, "2", false},
			{"slow", map[string]any{"ms": 1}, "waited 1ms", false},
			{"fail", map[string]any{"message": "broken"}, "broken", true},
			{"sample", map[string]any{"text": "speak"}, "the model said: SPEAK", false},
			{"elicit", map[string]any{"text": "a colour?"}, "the user said: blue", false},
		} {
			result := call(t, session, test.name, test.arguments)
			if words(result) != test.want || result.IsError != test.isError {
				t.Errorf("%s%v: %q, error %v", test.name, test.arguments, words(result), result.IsError)
			}
		}
		if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "fail", Arguments: map[string]any{"protocol": true}}); err == nil {
			t.Error("a JSON-RPC error was not seen")
		}
		if stats := server.Stats(); stats.Tools["count"] != 2 || stats.Sessions != 1 {
			t.Errorf("stats %+v", stats)
		}
	})
}

func TestAnnotationsTellWhatMayBeRepeated(t *testing.T) {
	ways(t, tools.Options{}, func(t *testing.T, _ *tools.Server, _ *client, session *mcp.ClientSession) {
		safe := map[string]bool{}
		for tool, err := range session.Tools(t.Context(), nil) {
			check(t, err)
			safe[tool.Name] = tool.Annotations.ReadOnlyHint && tool.Annotations.IdempotentHint
		}
		for name, want := range map[string]bool{"add": true, "multiply": true, "where": true, "slow": true, "count": false, "fail": false, "toggle": false} {
			if got, there := safe[name]; !there || got != want {
				t.Errorf("%s: there %v, may be repeated %v, want %v", name, there, got, want)
			}
		}
	})
}

func TestContentAndNotifications(t *testing.T) {
	ways(t, tools.Options{Name: "west"}, func(t *testing.T, _ *tools.Server, c *client, session *mcp.ClientSession) {
		for uri, want := range map[string]string{"sim://about": "west in local", "sim://square/12": "144"} {
			read, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
			check(t, err)
			if read.Contents[0].Text != want {
				t.Errorf("%s: %q", uri, read.Contents[0].Text)
			}
		}
		if _, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "sim://square/x"}); err == nil {
			t.Error("the square of x was read")
		}
		prompt, err := session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "greet", Arguments: map[string]string{"name": "ada"}})
		check(t, err)
		if got := prompt.Messages[0].Content.(*mcp.TextContent).Text; got != "Say hello to ada from west in local." {
			t.Errorf("prompt %q", got)
		}
		completed, err := session.Complete(t.Context(), &mcp.CompleteParams{
			Ref: &mcp.CompleteReference{Type: "ref/prompt", Name: "greet"}, Argument: mcp.CompleteParamsArgument{Name: "name", Value: "a"},
		})
		check(t, err)
		if !slices.Equal(completed.Completion.Values, []string{"ada", "alan"}) {
			t.Errorf("completed %v", completed.Completion.Values)
		}
		params := &mcp.CallToolParams{Name: "progress", Arguments: map[string]any{"steps": 3}}
		params.SetProgressToken("p")
		_, err = session.CallTool(t.Context(), params)
		check(t, err)
		until(t, "three steps were reported", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.progress) == 3 })
		check(t, session.SetLoggingLevel(t.Context(), &mcp.SetLoggingLevelParams{Level: "info"}))
		call(t, session, "log", map[string]any{"level": "debug", "text": "quiet"})
		call(t, session, "log", map[string]any{"level": "warning", "text": "loud"})
		until(t, "the warning came", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.logs) > 0 })
		if len(c.logs) != 1 || !strings.Contains(c.logs[0], "loud") {
			t.Errorf("logs %q", c.logs)
		}
		if got := words(call(t, session, "toggle", nil)); got != "extra is there" {
			t.Errorf("toggled: %q", got)
		}
		until(t, "the change of the list was told", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.changes > 0 })
		if got := words(call(t, session, "extra", nil)); got != "extra" {
			t.Errorf("extra: %q", got)
		}
	})
}

func TestSessionsAreApartAndForgotten(t *testing.T) {
	server := tools.New(tools.Options{})
	front := httptest.NewServer(server)
	t.Cleanup(front.CloseClientConnections)
	transport := func() mcp.Transport { return &mcp.StreamableClientTransport{Endpoint: front.URL + "/mcp"} }
	first, second := (&client{}).connect(t, transport()), (&client{}).connect(t, transport())
	call(t, first, "count", nil)
	call(t, first, "count", nil)
	if got := words(call(t, second, "count", nil)); got != "1" {
		t.Errorf("a second session counted %s", got)
	}
	if first.ID() == "" || first.ID() == second.ID() {
		t.Errorf("session ids %q and %q", first.ID(), second.ID())
	}
	ping := func(session string) int {
		request, err := http.NewRequest("POST", front.URL+"/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":9,"method":"ping"}`))
		check(t, err)
		request.Header.Set("content-type", "application/json")
		request.Header.Set("accept", "application/json, text/event-stream")
		request.Header.Set("mcp-session-id", session)
		request.Header.Set("mcp-protocol-version", "2025-06-18")
		response, err := http.DefaultClient.Do(request)
		check(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	if status := ping(first.ID()); status != 200 {
		t.Errorf("a known session was answered with %d", status)
	}
	if status := ping("made-up"); status != 404 {
		t.Errorf("an unknown session was answered with %d", status)
	}
	server.Forget()
	until(t, "the session is forgotten", func() bool { return ping(first.ID()) == 404 })
	if server.Stats().Requests["POST /mcp 404"] < 2 {
		t.Errorf("stats %+v", server.Stats())
	}
}

func TestStatelessAndJSON(t *testing.T) {
	for _, plain := range []bool{false, true} {
		front := httptest.NewServer(tools.New(tools.Options{JSON: plain}))
		t.Cleanup(front.CloseClientConnections)
		session := (&client{}).connect(t, &mcp.StreamableClientTransport{Endpoint: front.URL + "/stateless"})
		if session.ID() != "" {
			t.Errorf("a session id %q where there are no sessions", session.ID())
		}
		for range 2 {
			if got := words(call(t, session, "count", nil)); got != "1" {
				t.Errorf("a server without sessions counted to %s", got)
			}
		}
		if got := words(call(t, session, "elicit", map[string]any{"text": "?"})); got != "the user said: blue" {
			t.Errorf("elicited %q without a session", got)
		}
		sessionful := (&client{}).connect(t, &mcp.StreamableClientTransport{Endpoint: front.URL + "/mcp"})
		if got := words(call(t, sessionful, "add", map[string]any{"a": 1, "b": 1})); got != "2" {
			t.Errorf("JSON %v: added %q", plain, got)
		}
	}
}
