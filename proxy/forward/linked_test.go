package forward_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/mcptest"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
	"github.com/navehq/nave/proxy/pick"
	"github.com/navehq/nave/proxy/upstream"
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

// What the serving proxy passes on by itself stays where the entry's policies
// allow it, and within this cluster's own limit.
func TestServeLinkStaysInTheEntrysRegions(t *testing.T) {
	for _, tt := range []struct{ entry, own, want string }{
		{"", "eastus", "eastus"},
		{"eastus,westus2", "", "eastus,westus2"},
		{"eastus,westus2", "westus2,eastus2", "westus2"},
		{"eastus", "westus2", ""},
	} {
		resources := service(serve(t, echo))
		b := resources[0].(*table.Backend)
		b.Fleet = true
		if tt.own != "" {
			b.Failover.AllowedRegions = strings.Split(tt.own, ",")
		}
		p := start(t, nil, append(resources, rule(nil))...)
		seen := make(regions, 1)
		p.f.Protocol(table.BackendHTTP, seen)
		x := mcptest.Pipe(context.Background(), &message.Request{Method: "GET", Scheme: "http", Authority: "h", Path: "/", Protocol: message.HTTP11})
		head := forward.Head{Backend: b.Name, Member: b.Groups[0][0].Name, Tenant: "default", From: "west", Allowed: tt.entry}
		if err := p.f.ServeLink(x, head, &observe.Record{}); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; strings.Join(got, ",") != tt.want || len(got) == 0 {
			t.Errorf("the entry allows %q, this cluster %q: %q is in force", tt.entry, tt.own, got)
		}
		x.End()
	}
}

// regions is a protocol that only tells which regions it may use.
type regions chan []string

func (r regions) Serve(_ context.Context, c *forward.Call) { r <- c.Backend.Failover.AllowedRegions }

// heads is a link that only tells what the other side is told.
type heads chan forward.Head

func (h heads) Send(_ context.Context, head forward.Head, _ *message.Request) (*message.Response, string, error) {
	h <- head
	return nil, "", errors.New("nobody is there")
}
func (heads) RTT(string) pick.Estimate        { return pick.Estimate{} }
func (heads) Reachable(string) (bool, string) { return true, "" }

func TestTheEntryTellsWhichRegionsItAllows(t *testing.T) {
	told := make(heads, 1)
	f := forward.New(forward.Options{
		Link: told, Health: upstream.NewHealth(time.Now, func() uint64 { return 0 }, nil), Observer: observe.New(observe.Options{}),
	})
	defer f.Close()
	call := &forward.Call{
		Self: &table.Self{Cluster: "east"}, Record: &observe.Record{}, Request: &message.Request{},
		Backend: &table.Backend{Name: "b", Failover: table.Failover{AllowedRegions: []string{"eastus", "westus2"}}},
	}
	to := pick.Candidate{Backend: "b", Cluster: "west", Member: &table.Member{Name: "m"}, Instance: &table.Instance{Cluster: "west"}}
	if _, err := f.Send(context.Background(), call, to, call.Request); err == nil {
		t.Error("nobody was there, and it was sent")
	}
	if head := <-told; head.Allowed != "eastus,westus2" {
		t.Errorf("told was %+v", head)
	}
}
