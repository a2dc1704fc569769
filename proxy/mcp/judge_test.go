package mcp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/navehq/nave/api/table"
)

// rules are policies for the backend, or for one server of it.
func rules(server string, sets ...table.Authorization) (out []table.Resource) {
	for i, set := range sets {
		out = append(out, &table.Policy{
			Name:          fmt.Sprintf("AgentgatewayPolicy ns/p%d%s", i, server),
			Targets:       []table.Target{{Kind: "AgentgatewayBackend", Namespace: "ns", Name: "tools", Section: server}},
			Authorization: &set,
		})
	}
	return out
}

// A client in east is served by west. Whoever has the rules, they hold alike: for
// calls by the tool and its arguments, for lists, and for methods.
func TestRulesAskForToolsAcrossTheLink(t *testing.T) {
	by := func(action table.Action, expressions ...string) table.Authorization {
		return table.Authorization{Action: action, Expressions: expressions}
	}
	sets := []table.Authorization{
		by(table.Require, `!has(mcp.tool) || mcp.tool.name in ["add", "count"] && mcp.tool.target == "math"`),
		by(table.Allow, `!has(mcp.tool)`, `mcp.tool.name == "add"`, `!has(mcp.tool.arguments.secret) || mcp.tool.arguments.secret == false`),
		by(table.Deny, `mcp.methodName == "logging/setLevel"`, `mcp.resource.name == "file:///west"`),
	}
	tests := []struct {
		why    string
		server string
		at     []string
	}{
		{"the backend's, at the serving cluster", "", []string{"west"}},
		{"the server's, at the serving cluster", "math", []string{"west"}},
		{"the server's, at the entry", "math", []string{"east"}},
		{"the backend's, at both", "", []string{"east", "west"}},
		{"the server's, at both", "math", []string{"east", "west"}},
		{"the backend's, at the serving cluster, of a server that lists in an event stream", "", []string{"west"}},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			more := map[string][]table.Resource{}
			for _, c := range tt.at {
				more[c] = rules(tt.server, sets...)
			}
			east, _, _, fakes := twoUnlike(t, []string{"math"}, more)
			fakes["west"].listsInEvents = strings.Contains(tt.why, "event stream")
			c := east.through(t)
			if a := c.Initialize("2025-06-18"); a.Status != 200 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			list := fmt.Sprint(c.Call("1", "tools/list", "")["result"])
			if !strings.Contains(list, "add") || !strings.Contains(list, "count") || strings.Contains(list, "ask") {
				t.Errorf("the list shows %s", list)
			}
			for _, q := range []struct {
				method, params string
				allowed        bool
			}{
				{"tools/call", `{"name":"add"}`, true},
				{"tools/call", `{"name":"count","arguments":{"secret":false}}`, true},
				{"tools/call", `{"name":"count","arguments":{"secret":true}}`, false},
				{"tools/call", `{"name":"ask"}`, false},
				{"logging/setLevel", `{"level":"debug"}`, false},
				{"resources/read", `{"uri":"file:///west"}`, false},
				{"resources/read", `{"uri":"file:///other"}`, true},
				{"ping", `{}`, true},
				{"tools/call", `{"name":"count"}`, true},
			} {
				m := c.Call("1", q.method, q.params)
				if (m["error"] == nil) != q.allowed {
					t.Errorf("%s %s: %v", q.method, q.params, m)
				}
			}
			if got := call(c, "count"); got != "west 3" {
				t.Errorf("after what was refused the session says %q", got)
			}
			if fakes["west"].saw(`"ask"`)+fakes["west"].saw("setLevel")+fakes["west"].saw(`"secret":true`)+fakes["west"].saw(`"file:///west"`) != 0 {
				t.Error("what is not allowed reached the server")
			}
			if fakes["east"].started() != 0 {
				t.Error("a refusal moved the session")
			}
		})
	}
}

// Whatever a client sends that the serving cluster refuses, the server hears
// nothing of it.
func TestServingClusterRefusesBeginningsStreamsAndNotices(t *testing.T) {
	only := func(expression string) map[string][]table.Resource {
		return map[string][]table.Resource{"west": rules("", table.Authorization{Action: table.Require, Expressions: []string{expression}})}
	}
	t.Run("initialize", func(t *testing.T) {
		east, _, _, fakes := twoUnlike(t, []string{"math"}, only(`mcp.methodName != "initialize"`))
		a := east.through(t).Initialize("2025-06-18")
		if a.Header.Get("Mcp-Session-Id") != "" || !strings.Contains(a.Body, "not allowed") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		if fakes["west"].started()+fakes["east"].started() != 0 {
			t.Error("a session was begun")
		}
	})
	t.Run("stream and notification", func(t *testing.T) {
		east, _, _, fakes := twoUnlike(t, []string{"math"}, only(`mcp.methodName != "notifications/x"`))
		c := east.through(t)
		c.Initialize("2025-06-18")
		w := c.Open("GET", "")
		eventually(t, "the stream was asked for", func() bool { return east.link.ordered("stream") })
		c.Do("POST", `{"jsonrpc":"2.0","method":"notifications/x"}`)
		c.Do("POST", `{"jsonrpc":"2.0","method":"notifications/y"}`)
		if got := call(c, "add"); got != "west" {
			t.Error(got)
		}
		w.Close()
		if fakes["west"].saw("GET") != 0 || fakes["west"].saw("notifications/x") != 0 || fakes["west"].saw("notifications/y") != 1 {
			t.Errorf("the server was told %v", fakes["west"].told)
		}
		if a := c.Do("DELETE", ""); a.Status != 204 {
			t.Errorf("%d", a.Status)
		}
		eventually(t, "the server's session was ended", func() bool { return fakes["west"].ended() == 1 })
	})
}
