package upstream

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Names are believed for nameTime and, where looking up fails, for nameStale; a
// failure is not asked again for nameFailed. At most maxNames are kept.
const (
	nameTime   = 30 * time.Second
	nameStale  = 10 * time.Minute
	nameFailed = time.Second
	maxNames   = 4096
)

// names resolves and remembers. Many requests for one name ask once.
type names struct {
	resolve func(context.Context, string) ([]netip.Addr, error)
	now     func() time.Time

	mu    sync.Mutex
	known map[string]*name
}

type name struct {
	addresses []netip.Addr
	at        time.Time // of the last good answer
	err       error
	tried     time.Time
	asking    chan struct{} // closed when the question on its way is answered
}

func newNames(resolve func(context.Context, string) ([]netip.Addr, error), now func() time.Time) *names {
	return &names{resolve: resolve, now: now, known: map[string]*name{}}
}

func (n *names) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return nil, fmt.Errorf("looking up %q: it is this machine's own", host)
	}
	for {
		n.mu.Lock()
		e := n.entry(host)
		now := n.now()
		fresh := now.Sub(e.at) < nameTime && len(e.addresses) > 0
		usable := now.Sub(e.at) < nameStale && len(e.addresses) > 0
		switch {
		case fresh:
		case now.Sub(e.tried) < nameFailed && e.err != nil && !usable:
			err := e.err
			n.mu.Unlock()
			return nil, err
		case e.asking == nil && now.Sub(e.tried) >= nameFailed:
			e.asking = make(chan struct{})
			go n.ask(host, e)
		}
		if fresh || usable {
			list := e.addresses
			n.mu.Unlock()
			return list, nil
		}
		asking := e.asking
		n.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
			return nil, fmt.Errorf("looking up %q: %w", host, ctx.Err())
		}
	}
}

// entry finds or makes a name's entry; n.mu is held.
func (n *names) entry(host string) *name {
	e := n.known[host]
	if e == nil {
		if len(n.known) >= maxNames {
			clear(n.known)
		}
		e = &name{}
		n.known[host] = e
	}
	return e
}

// lookupTime bounds a question; its asker may be gone before.
const lookupTime = 5 * time.Second

func (n *names) ask(host string, e *name) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	list, err := n.resolve(ctx, host)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("it has no address")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	e.tried = n.now()
	if e.err = nil; err != nil {
		e.err = fmt.Errorf("looking up %q: %w", host, err)
	} else {
		e.addresses, e.at = list, e.tried
	}
	close(e.asking)
	e.asking = nil
}
