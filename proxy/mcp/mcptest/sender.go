package mcptest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/pick"
)

// sender carries a node's attempts: to servers by net/http, to other nodes by
// calling them.
type sender struct{ n *Node }

// detects is how long the link takes to find that nothing comes back.
const detects = 150 * time.Millisecond

func (s sender) Decide(call *forward.Call, needs pick.Needs) (d pick.Decision) {
	f := s.n.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range call.Backend.Groups[0] {
		m := &call.Backend.Groups[0][i]
		if m.Name != needs.Member {
			continue
		}
		for j := range m.Instances {
			c := pick.Candidate{
				Backend: call.Backend.Name, Member: m, Instance: &m.Instances[j],
				Cluster: m.Instances[j].Cluster, Local: m.Instances[j].Cluster == s.n.Cluster,
			}
			if owner := cmp.Or(needs.Owner, needs.Holds); owner != "" && c.Key() != owner {
				continue
			}
			if f.rejected[c.Cluster+"/"+m.Name] {
				d.Rejected = append(d.Rejected, pick.Rejection{Candidate: c, Reason: "set aside by the test"})
			} else {
				d.Order = append(d.Order, pick.Choice{Candidate: c})
			}
		}
	}
	return d
}

func (s sender) Done(*forward.Call, pick.Candidate, forward.Outcome) {}

func (s sender) Move(*forward.Call, pick.Candidate, table.Trigger) bool {
	s.n.fleet.mu.Lock()
	defer s.n.fleet.mu.Unlock()
	s.n.fleet.moves++
	return true
}

func (s sender) Send(ctx context.Context, call *forward.Call, to pick.Candidate, req *message.Request) (*message.Response, error) {
	if s.n.life.Err() != nil {
		return nil, broken(message.StageConnect, errors.New("this proxy is dead"))
	}
	if to.Local && (call.Replica == "" || call.Replica == s.n.ID) {
		return s.direct(ctx, to, req)
	}
	return s.link(ctx, call, to, req)
}

func broken(at message.Stage, err error) error {
	return &message.SendError{Stage: at, Address: "test", Unprocessed: at < message.StageSend, Err: err}
}

// direct sends to a server on loopback.
func (s sender) direct(ctx context.Context, to pick.Candidate, req *message.Request) (*message.Response, error) {
	f := s.n.fleet
	f.mu.Lock()
	server := f.running[to.Cluster+"/"+to.Member.Name]
	f.mu.Unlock()
	if server == nil {
		return nil, broken(message.StageConnect, errors.New("connection refused"))
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.n.life, cancel)
	r, err := http.NewRequestWithContext(ctx, req.Method, server.URL+req.Target(), req.Body)
	if err != nil {
		cancel()
		return nil, broken(message.StageConnect, err)
	}
	for h := range req.Header.All() {
		r.Header.Add(h.Name, h.Value)
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		cancel()
		return nil, broken(message.StageAwait, err)
	}
	out := &message.Response{Status: resp.StatusCode, ContentLength: resp.ContentLength}
	for name, values := range resp.Header {
		for _, v := range values {
			out.Header.Add(name, v)
		}
	}
	out.Body = &body{resp.Body, func() { stop(); cancel() }}
	return out, nil
}

type body struct {
	io.ReadCloser
	then func()
}

func (b *body) Close() error {
	b.then()
	return b.ReadCloser.Close()
}

// link sends to another proxy: the one that the call names, or any of the cluster.
func (s sender) link(ctx context.Context, call *forward.Call, to pick.Candidate, req *message.Request) (*message.Response, error) {
	f := s.n.fleet
	f.mu.Lock()
	dark := s.n.Cluster != to.Cluster && (f.hole[to.Cluster] || f.hole[s.n.Cluster])
	if dark && req.Header.Get("nave-mcp-op") == "message" {
		f.swallowed++
	}
	f.mu.Unlock()
	if dark {
		wait := time.NewTimer(detects)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
		return nil, &message.SendError{Stage: message.StageAwait, Address: to.Cluster, Timeout: true, Err: errors.New("nothing comes back")}
	}
	id := call.Replica
	if id == "" {
		id = to.Cluster + "-0"
	}
	other := f.Node(id)
	if other.life.Err() != nil {
		return nil, broken(message.StageConnect, fmt.Errorf("proxy %q refuses connections", id))
	}
	local := *to.Instance
	local.Dial = &table.Dial{Host: to.Member.Name, Port: 80}
	only := to
	only.Local, only.Instance = true, &local
	var text []byte
	if req.Header.Get("nave-mcp-op") == "copy" {
		text, _ = io.ReadAll(req.Body)
		req.Body = bytes.NewReader(text)
		if f.OnCopy != nil {
			f.OnCopy(string(text))
		}
	}
	x := Pipe(ctx, req, s.n.life, other.life)
	go other.serve(x, &only)
	resp, err := x.Head()
	if err == nil && text != nil && resp.Status == 202 {
		f.mu.Lock()
		f.copies = append(f.copies, id+" "+string(text))
		f.mu.Unlock()
	}
	return resp, err
}
