package forward_test

import (
	"context"
	"strings"
	"testing"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/mcptest"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
)

// What came over the link is held against this cluster's own rules: at once where
// the head tells enough, and by the protocol where the body is asked for. A
// protocol that forgets to ask sends nothing.
func TestServeLinkHoldsItsOwnRules(t *testing.T) {
	for _, tt := range []struct {
		why, model string
		action     table.Action
		expression string
		forgets    bool
		refused    bool // nothing is answered
		status     int
	}{
		{"what the body allows", "small", table.Require, `llm.requestModel == "small"`, false, false, 200},
		{"what the body denies", "large", table.Require, `llm.requestModel == "small"`, false, false, 403},
		{"a protocol that forgets", "small", table.Require, `llm.requestModel == "small"`, true, false, 500},
		{"a protocol that forgets what only denies", "small", table.Deny, `llm.requestModel == "large"`, true, false, 500},
		{"what the head refuses", "small", table.Require, `request.method == "PUT"`, false, true, 0},
		{"what nothing tells", "small", table.Require, `apiKey.team == "a"`, false, true, 0},
	} {
		resources := service(serve(t, echo))
		b := resources[0].(*table.Backend)
		b.Kind, b.Fleet = table.BackendAI, true
		guard := &table.Policy{
			Name: "p", Targets: []table.Target{{Kind: "Service", Namespace: "ns", Name: "s"}},
			Authorization: &table.Authorization{Action: tt.action, Expressions: []string{tt.expression}},
		}
		p := start(t, nil, append(resources, rule(nil), guard)...)
		p.f.Protocol(table.BackendAI, &reader{f: p.f, model: tt.model, forgets: tt.forgets})
		x := mcptest.Pipe(context.Background(), &message.Request{Method: "POST", Scheme: "http", Authority: "h", Path: "/", Protocol: message.HTTP11, Body: strings.NewReader("x"), ContentLength: 1})
		failed := make(chan error, 1)
		go func() {
			defer x.End()
			failed <- p.f.ServeLink(x, forward.Head{Backend: b.Name, Member: b.Groups[0][0].Name, Tenant: "default", From: "west"}, &observe.Record{})
		}()
		if tt.refused {
			if err := <-failed; err == nil {
				t.Errorf("%s: it was served", tt.why)
			}
			continue
		}
		resp, err := x.Head()
		if err != nil || resp.Status != tt.status {
			t.Errorf("%s: %+v %v, want %d", tt.why, resp, err, tt.status)
		}
	}
}
