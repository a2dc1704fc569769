package forward_test

import (
	"context"
	"strings"
	"testing"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/llm"
	"github.com/navehq/nave/proxy/pick"
)

// reader is a protocol that learns a model's name from the body, and may forget
// to have it judged.
type reader struct {
	f       *forward.Forwarder
	model   string
	forgets bool
}

type modelFact string

func (m modelFact) Fact(name string) (any, bool) { return string(m), name == "llm.requestModel" }

func (r *reader) Serve(ctx context.Context, c *forward.Call) {
	if !r.forgets {
		if ok, _ := c.Authorize(modelFact(r.model)); !ok {
			c.Refuse(403, "Authorization", "denied", nil)
			return
		}
	}
	d := r.f.Decide(c, pick.Needs{})
	resp, err := r.f.Send(ctx, c, d.Order[0].Candidate, c.Request)
	if err != nil {
		c.Refuse(500, "Internal", "not sent", err)
		return
	}
	resp.Body.Close()
	c.Refuse(resp.Status, "Upstream", "sent", nil)
}

func TestWhatAsksForTheBodyWaitsForIt(t *testing.T) {
	resources := service(serve(t, echo))
	resources[0].(*table.Backend).Kind = table.BackendAI
	deny := &table.Policy{
		Name: "p", Targets: []table.Target{{Kind: "Gateway", Namespace: "ns", Name: "gw"}},
		Authorization: &table.Authorization{Action: table.Deny, Expressions: []string{`llm.requestModel == "large"`}},
	}
	p := start(t, nil, append(resources, rule(nil), deny)...)
	r := &reader{f: p.f}
	p.f.Protocol(table.BackendAI, r)
	for _, c := range []struct {
		model   string
		forgets bool
		status  int
	}{{"small", false, 200}, {"large", false, 403}, {"large", true, 500}} {
		r.model, r.forgets = c.model, c.forgets
		if resp, body := p.do("POST", "/", "x"); resp.StatusCode != c.status {
			t.Errorf("%+v: got %d %s", c, resp.StatusCode, body)
		}
	}
}

// What is answered from the table alone is authorized like all else, and a
// denial is 403 in the client's dialect.
func TestTheListOfModelsIsAuthorized(t *testing.T) {
	for _, c := range []struct {
		model, path string
		status      int
		says        string
	}{
		{"large", "/v1/models", 403, `"error"`},
		{"large", "/v1/chat/completions", 403, `"error"`},
		{"", "/v1/models", 200, `"declared"`},
	} {
		resources := service(serve(t, echo))
		b := resources[0].(*table.Backend)
		b.Kind, b.Groups[0][0].Model = table.BackendAI, &table.Model{Provider: table.OpenAI, Model: "declared"}
		only := &table.Policy{
			Name: "p", Targets: []table.Target{{Kind: "Gateway", Namespace: "ns", Name: "gw"}},
			Authorization: &table.Authorization{Action: table.Require, Expressions: []string{`llm.requestModel == "` + c.model + `"`}},
		}
		p := start(t, nil, append(resources, rule(nil), only)...)
		p.f.Protocol(table.BackendAI, llm.New(llm.Options{Sender: p.f}))
		method, body := "POST", `{"model":"small","messages":[]}`
		if c.path == "/v1/models" {
			method, body = "GET", ""
		}
		if resp, got := p.do(method, c.path, body); resp.StatusCode != c.status || !strings.Contains(got, c.says) {
			t.Errorf("%s for who may ask for %q: %d %s, want %d", c.path, c.model, resp.StatusCode, got, c.status)
		}
	}
}
