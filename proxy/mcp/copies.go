package mcp

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/pick"
)

// Bounds of giving copies.
const (
	copiesWaiting = 20_000 // sessions whose copy waits to be given
	copiesAtOnce  = 16
	copyTries     = 6 // with 1, 2, 4 … seconds between them
	copyTimeout   = 5 * time.Second
	copyClusters  = 2 // other clusters that get a copy, in the order of candidates
)

// copies gives what changed to the proxies that would take over: the next owner
// of the same cluster and those of the next clusters. A session that changes
// again before its copy went is given once; one that changes while its copy is
// on its way is given after it, so that no older copy comes last.
type copies struct {
	o    *owner
	wake chan struct{}

	mu    sync.Mutex
	due   map[*held]int // tries so far
	later map[*held]time.Time
	going map[*held]bool
}

func newCopies(o *owner) *copies {
	return &copies{o: o, wake: make(chan struct{}, 1), due: map[*held]int{}, later: map[*held]time.Time{}, going: map[*held]bool{}}
}

func (c *copies) add(h *held) {
	c.mu.Lock()
	if len(c.due) < copiesWaiting {
		c.due[h] = 0
		delete(c.later, h)
	}
	c.mu.Unlock()
	c.rouse()
}

// rouse has run look at what is due.
func (c *copies) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run gives copies until the Protocol is closed.
func (c *copies) run() {
	ctx := c.o.p.life
	room := make(chan struct{}, copiesAtOnce)
	var work sync.WaitGroup
	defer work.Wait()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for h, tries := range c.take() {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			work.Go(func() {
				defer func() { <-room }()
				defer c.went(h)
				defer c.o.p.caught("giving a copy")
				if !c.give(ctx, h) {
					c.again(h, tries+1)
				}
			})
		}
		select {
		case <-c.wake:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// take takes what is due now.
func (c *copies) take() map[*held]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.o.p.now()
	out := map[*held]int{}
	for h, tries := range c.due {
		if c.going[h] || now.Before(c.later[h]) {
			continue
		}
		out[h], c.going[h] = tries, true
		delete(c.due, h)
		delete(c.later, h)
	}
	return out
}

// went says that a session's copy is no longer on its way.
func (c *copies) went(h *held) {
	c.mu.Lock()
	delete(c.going, h)
	c.mu.Unlock()
	c.rouse()
}

func (c *copies) again(h *held, tries int) {
	if tries >= copyTries {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, newer := c.due[h]; !newer {
		c.due[h] = tries
		c.later[h] = c.o.p.now().Add(time.Second << (tries - 1))
	}
}

// give gives a session's copy to everybody who is to have it; false where one
// could not be reached.
func (c *copies) give(ctx context.Context, h *held) bool {
	ctx, cancel := context.WithTimeout(ctx, copyTimeout)
	defer cancel()
	h.mu.Lock()
	text, err := h.state.Copy(h.place.handle, h.place.server).Encode()
	ended := h.state.Phase == session.Ended
	h.mu.Unlock()
	if err != nil || ended {
		return true
	}
	ok := true
	for _, failed := range c.o.others(ctx, h, opCopy, text) {
		ok = ok && failed == nil
	}
	return ok
}

// others gives an order about a session to the proxies that may know of it or
// take it over, side by side, and returns what became of each.
func (o *owner) others(ctx context.Context, h *held, what op, body []byte) []*fault {
	var faults []*fault
	o.each(ctx, h, order{op: what, server: h.place.server, facts: h.facts, body: body}, func(r *reply, f *fault) {
		r.close()
		faults = append(faults, f)
	})
	return faults
}

// each gives an order to the next owner of this cluster and to the owners of
// the next clusters, and of those that drain, where the session may have lived; f
// is called for one after another.
func (o *owner) each(ctx context.Context, h *held, ord order, f func(*reply, *fault)) {
	h.mu.Lock()
	call, to := h.call, h.to
	h.mu.Unlock()
	if call == nil {
		return
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	run := func(send func(call *forward.Call) (*reply, *fault)) {
		c := beside(call)
		work.Go(func() {
			defer o.p.caught("telling another owner")
			r, fl := send(c)
			mu.Lock()
			defer mu.Unlock()
			f(r, fl)
		})
	}
	for _, x := range o.p.owners(call, to.Cluster, h.facts, h.place.server) {
		if x.ID != o.p.proxy {
			run(func(c *forward.Call) (*reply, *fault) { return o.p.give(ctx, c, to, x.ID, ord) })
			break
		}
	}
	given := 0
	asks := beside(call)
	asks.Word = steadily(h.facts.Handle)
	for _, choice := range o.p.sender.Decide(asks, pick.Needs{Member: h.place.server, Explain: true, Standing: true, Steady: true}).Order {
		if choice.Local || given >= copyClusters && !drains(call.Find, choice.Cluster) {
			continue
		}
		given++
		run(func(c *forward.Call) (*reply, *fault) { return o.p.reach(ctx, c, choice.Candidate, ord) })
	}
	work.Wait()
}

// askOthers learns what other owners know of a session that began elsewhere or
// before this proxy did.
func (o *owner) askOthers(ctx context.Context, h *held) {
	h.mu.Lock()
	s := h.state
	h.mu.Unlock()
	if !s.Begun || s.Phase != session.Absent || s.Turn > 0 || s.Spare || s.Elsewhere != "" || s.Moves > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, o.p.limits.Ask)
	defer cancel()
	var found []session.Copy
	o.each(ctx, h, order{op: opTell, server: h.place.server, facts: h.facts}, func(r *reply, f *fault) {
		if s, ok := o.heardCopy(r, f); ok {
			found = append(found, s)
		}
	})
	slices.SortFunc(found, func(a, b session.Copy) int {
		return cmp.Or(cmp.Compare(a.Moves, b.Moves), number01(a.Live)-number01(b.Live),
			number01(a.Cluster == s.Cluster)-number01(b.Cluster == s.Cluster), number01(a.ID != "")-number01(b.ID != ""))
	})
	if len(found) > 0 {
		o.act(h, o.step(h, session.Told{Copy: found[len(found)-1]}))
	}
}

func number01(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (o *owner) heardCopy(r *reply, f *fault) (session.Copy, bool) {
	defer r.close()
	if f != nil || r.Response == nil || r.Status != 200 {
		return session.Copy{}, false
	}
	data, err := readAll(r.Body, 128<<10)
	if err != nil {
		return session.Copy{}, false
	}
	c, err := session.DecodeCopy(data)
	return c, err == nil
}

// tell answers with the copy of what this owner knows, 204 where that is nothing.
func (o *owner) tell(call *forward.Call, to pick.Candidate, ord order) *message.Response {
	h, ok := o.held.get(place{ord.facts.Handle, call.Backend.Name, to.Member.Name})
	if !ok {
		return plain(204)
	}
	h.mu.Lock()
	s := h.state
	h.mu.Unlock()
	if !s.Begun || s.Phase == session.Ended {
		return plain(204)
	}
	c := s.Copy(h.place.handle, h.place.server)
	if s.Spare {
		c.Live, c.ID = true, s.ID
	}
	if s.Elsewhere != "" {
		c.Live, c.Cluster, c.ID = true, s.Elsewhere, ""
	}
	text, err := c.Encode()
	if err != nil {
		return plain(204)
	}
	return withJSON(text)
}

// takeCopy takes note of another owner's copy.
func (o *owner) takeCopy(call *forward.Call, to pick.Candidate, ord order) *message.Response {
	c, err := session.DecodeCopy(ord.body)
	if err != nil || c.Handle != ord.facts.Handle || c.Server != to.Member.Name {
		return undone(table.OnServer, "the order holds no copy of its session").response()
	}
	h := o.find(call, to, ord)
	o.act(h, o.step(h, session.Told{Copy: c}))
	return plain(202)
}
