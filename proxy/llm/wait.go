package llm

import (
	"errors"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/message"
)

// A link that was lost is often back soon: a machine that stalled, a path that
// moved. patience bounds the waiting of one call, rounds how often its candidates
// are asked; lookEvery is between two looks.
const (
	patience  = 2500 * time.Millisecond
	rounds    = 4
	lookEvery = 50 * time.Millisecond
)

// byLink tells whether an attempt failed by the link itself, not by what the
// proxy at its other end says.
func (a *attempt) byLink(err error) bool {
	if a.to.Local || a.m.opts.Reachable == nil {
		return false
	}
	var e *message.SendError
	refused := errors.As(err, &e) && e.Stage == message.StageAwait && e.Unprocessed
	return !refused || !a.m.opts.Reachable(a.to.Cluster)
}

// regain waits until a link to one of the candidates works again. It is false
// where none does in time, where the policy moves nothing for lost connections,
// and for what must not be asked of another: whose turn it is may have changed.
// What was never begun is asked again at no cost; of all else the policy says how
// often.
func (t *turn) regain(until time.Time) bool {
	f := &t.call.Backend.Failover
	if t.call.Only != nil || f.Disabled || len(t.facts.State) > 0 || !t.triggers(table.OnConnect) {
		return false
	}
	if t.begun && !t.m.opts.Sender.Move(t.call, t.order[len(t.order)-1].Candidate, table.OnConnect) {
		return false
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for t.m.opts.Now().Before(until) {
		select {
		case <-t.ctx.Done():
			return false
		case <-tick.C:
		}
		for _, c := range t.order {
			if !c.Local && t.m.opts.Reachable(c.Cluster) {
				return true
			}
		}
	}
	return false
}
