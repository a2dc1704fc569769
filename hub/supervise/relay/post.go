package relay

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// post delivers datagrams when they are due, in the order in which they are: one
// goroutine and one heap for a whole route.
type post struct {
	woken chan struct{} // capacity 1: there is an earlier one

	mu     sync.Mutex
	flying flying
	number uint64
}

// datagram is one on its way. It is dropped at its arrival if its path is then
// partitioned.
type datagram struct {
	due     time.Time
	number  uint64 // orders those due at once
	path    path
	bytes   []byte
	deliver func([]byte)
}

func newPost() *post { return &post{woken: make(chan struct{}, 1)} }

// send hands a copy of bytes to deliver when they have travelled the path, or
// never: a datagram that is lost is nobody's business.
func (p *post) send(over path, bytes []byte, deliver func([]byte)) {
	if s, _ := over.state(); s.Partition || over.lost() {
		return
	}
	due := time.Now().Add(over.delay())
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.flying) >= maxFlying {
		return
	}
	p.number++
	d := &datagram{due: due, number: p.number, path: over, bytes: append([]byte(nil), bytes...), deliver: deliver}
	heap.Push(&p.flying, d)
	if p.flying[0] == d {
		signal(p.woken)
	}
}

// run delivers until ctx ends.
func (p *post) run(ctx context.Context) {
	for {
		d, left := p.next(time.Now())
		if d != nil {
			if s, _ := d.path.state(); !s.Partition {
				d.deliver(d.bytes)
			}
			continue
		}
		var due <-chan time.Time
		if left > 0 {
			due = time.After(left)
		}
		select {
		case <-due:
		case <-p.woken:
		case <-ctx.Done():
			return
		}
	}
}

// next takes the first datagram if it is due, or says how long it is until then;
// nil and 0 when there is none.
func (p *post) next(now time.Time) (*datagram, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.flying) == 0 {
		return nil, 0
	}
	if left := p.flying[0].due.Sub(now); left > 0 {
		return nil, left
	}
	return heap.Pop(&p.flying).(*datagram), 0
}

// flying is a heap by due, then number.
type flying []*datagram

func (f flying) Len() int { return len(f) }

func (f flying) Less(i, j int) bool {
	if f[i].due.Equal(f[j].due) {
		return f[i].number < f[j].number
	}
	return f[i].due.Before(f[j].due)
}

func (f flying) Swap(i, j int) { f[i], f[j] = f[j], f[i] }

func (f *flying) Push(x any) { *f = append(*f, x.(*datagram)) }

func (f *flying) Pop() any {
	last := len(*f) - 1
	d := (*f)[last]
	(*f)[last] = nil
	*f = (*f)[:last]
	return d
}
