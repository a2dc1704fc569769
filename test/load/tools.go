package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Agent holds one MCP session: the official SDK, without its retries.
type Agent struct {
	session *mcp.ClientSession
	// id is as it was given first.
	id string

	// counted is the server's last count of this session.
	mu       sync.Mutex
	counted  int
	restarts int
}

// Connect begins a session at the proxies of a gateway, host:port each, and uses
// them in turn.
func Connect(ctx context.Context, hosts []string) (*Agent, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: "http://tools/mcp", HTTPClient: &http.Client{Transport: newSpread(hosts)}, MaxRetries: -1,
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("begin a session with the tools: %w", err)
	}
	if _, err := session.ListTools(ctx, nil); err != nil {
		return nil, fmt.Errorf("list the tools: %w", err)
	}
	return &Agent{session: session, id: session.ID()}, nil
}

// Reach waits until a session can be begun at the proxies of a gateway, as long as
// a fleet may take to start.
func Reach(ctx context.Context, hosts []string) error {
	a, err := reach(ctx, hosts, "")
	if err == nil {
		a.close()
	}
	return err
}

// reach begins a session that a cluster serves, as soon as it does; "" is any.
func reach(ctx context.Context, hosts []string, home string) (*Agent, error) {
	limit, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		seen := &sighting{}
		a, err := Connect(context.WithValue(ctx, sightingKey{}, seen), hosts)
		if err == nil {
			if err = elsewhere(seen.cluster(), home); err == nil {
				return a, nil
			}
			a.close()
		}
		select {
		case <-limit.Done():
			return nil, fmt.Errorf("wait for the tools to serve: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (a *Agent) close() { _ = a.session.Close() } // the server forgets it anyway

// same tells whether the session is still the one that began.
func (a *Agent) same() bool { return a.id != "" && a.session.ID() == a.id }

// restarted is how often the server's counter began anew.
func (a *Agent) restarted() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.restarts
}

// begun tells whether the server has counted in this session.
func (a *Agent) begun() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counted > 0
}

// tool calls a tool that may be called again without harm, and checks the answer.
func (a *Agent) tool(ctx context.Context, n int) (Fate, error) {
	name, arguments, want := "add", map[string]any{"a": n, "b": 7}, n+7
	if n%4 == 0 {
		name, arguments, want = "slow", map[string]any{"ms": 100}, -1
	}
	got, err := a.call(ctx, name, arguments)
	if err != nil {
		return Lost, err
	}
	if want >= 0 && got != want {
		return Lost, fmt.Errorf("%d and 7 add up to %d", n, got)
	}
	return Served, nil
}

// count calls the tool that counts the session's calls of it.
func (a *Agent) count(ctx context.Context) (Fate, error) {
	got, err := a.call(ctx, "count", map[string]any{})
	if err != nil {
		return unanswered(err), err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if got <= a.counted {
		a.restarts++
	}
	a.counted = got
	return Served, nil
}

// unanswered is what became of a call with an effect that failed: only where the
// gateway says that it may have been carried out must it not be sent again.
func unanswered(err error) Fate {
	var answer *jsonrpc.Error
	var data struct {
		MaybeExecuted bool `json:"maybeExecuted"`
	}
	if errors.As(err, &answer) && json.Unmarshal(answer.Data, &data) == nil && data.MaybeExecuted {
		return Unrepeated
	}
	return Lost
}

// call gives the number in the answer, where there is one.
func (a *Agent) call(ctx context.Context, name string, arguments map[string]any) (int, error) {
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
