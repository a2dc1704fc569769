package forward_test

import (
	"context"
	"testing"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
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
