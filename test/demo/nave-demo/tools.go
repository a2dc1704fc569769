package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// sessions is how many agents hold an MCP session.
const sessions = 21

// agent holds one MCP session: the official SDK, without its retries.
type agent struct {
	session *mcp.ClientSession
	// id is as it was given first.
	id string

	// counted is the server's last count of this session.
	mu       sync.Mutex
	counted  int
	restarts int
}

func connect(ctx context.Context, hosts []string) (*agent, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "nave-demo", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: "http://tools/mcp", HTTPClient: &http.Client{Transport: newSpread(hosts)}, MaxRetries: -1,
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("begin a session with the tools: %w", err)
	}
	if _, err := session.ListTools(ctx, nil); err != nil {
		return nil, fmt.Errorf("list the tools: %w", err)
	}
	return &agent{session: session, id: session.ID()}, nil
}

func (a *agent) close() { _ = a.session.Close() } // nothing is left to lose

// same tells whether the session is still the one that began.
func (a *agent) same() bool { return a.id != "" && a.session.ID() == a.id }

// tool calls a tool that may be called again without harm, and checks the answer.
func (a *agent) tool(ctx context.Context, n int) (fate, error) {
	name, arguments, want := "add", map[string]any{"a": n, "b": 7}, n+7
	if n%4 == 0 {
		name, arguments, want = "slow", map[string]any{"ms": 100}, -1
	}
	got, err := a.call(ctx, name, arguments)
	if err != nil {
		return lost, err
	}
	if want >= 0 && got != want {
		return lost, fmt.Errorf("%d and 7 add up to %d", n, got)
	}
	return served, nil
}

// count calls the tool that counts the session's calls of it.
func (a *agent) count(ctx context.Context) (fate, error) {
	got, err := a.call(ctx, "count", map[string]any{})
	if err != nil {
		return unrepeated, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if got <= a.counted {
		a.restarts++
	}
	a.counted = got
	return served, nil
}

// call gives the number in the answer, where there is one.
func (a *agent) call(ctx context.Context, name string, arguments map[string]any) (int, error) {
	result, err := a.session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		return 0, err
	}
	if result.IsError {
		return 0, fmt.Errorf("the tool %s failed", name)
	}
	if result.StructuredContent == nil {
		return 0, nil
	}
	data, err := json.Marshal(result.StructuredContent)
	if err != nil {
		return 0, err
	}
	var number struct {
		Result *int `json:"result"`
	}
	if err := json.Unmarshal(data, &number); err != nil || number.Result == nil {
		return 0, errors.Join(fmt.Errorf("the tool %s answers %s", name, data), err)
	}
	return *number.Result, nil
}
