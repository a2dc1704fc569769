package spoke

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/spoke/provision/process"
	"github.com/navehq/nave/spoke/translate"
)

const (
	// again is when the supervisor is asked anew if it did not answer.
	again = time.Second
	// ticketLife is how long a proxy may take to come and enrol; while one that is
	// wanted has not come, it gets a new ticket twice in that time.
	ticketLife = 10 * time.Minute
)

// wish is one proxy that is wanted.
type wish struct {
	table string
	info  translate.TableInfo
	id    string
}

// wishes lists the proxies of every table. The name of a proxy is its
// namespace, which has no dots, its Gateway and its number: no two are alike.
func (s *Spoke) wishes() []wish {
	t := *s.desk.current.Load()
	var out []wish
	for _, name := range t.Tables() {
		_, info, _ := t.Table(name)
		for i := range max(info.Replicas, 1) {
			out = append(out, wish{name, info, fmt.Sprintf("%s-%d", strings.Replace(name, "/", ".", 1), i)})
		}
	}
	return out
}

// provision keeps the supervisor told of the proxies that are wanted.
func (s *Spoke) provision(ctx context.Context) error {
	var told []string
	tick := time.NewTicker(ticketLife / 2)
	defer tick.Stop()
	for {
		list := s.wishes()
		names, asked := make([]string, 0, len(list)), make([]string, 0, len(list))
		for _, w := range list {
			names = append(names, w.id)
			asked = append(asked, fmt.Sprint(w.id, w.info.Env, w.info.Runtime.Drain))
		}
		if told == nil || !slices.Equal(told, asked) {
			if err := s.ask(ctx, list); err != nil {
				s.deps.Log.Warn("provision proxies", "err", err)
				told = nil
			} else {
				told = asked
				s.forget(names)
			}
		}
		retry := time.After(again)
		if told != nil {
			retry = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wanted:
		case <-retry:
		case <-tick.C:
			if !s.gathered() {
				told = nil
			}
		}
	}
}

func (s *Spoke) forget(names []string) {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	s.publisher.Forget(wanted)
}

// ask tells the supervisor the whole list.
func (s *Spoke) ask(ctx context.Context, list []wish) error {
	wanted := process.Wanted{Proxies: []process.Proxy{}}
	for _, w := range list {
		p, err := s.proxy(w)
		if err != nil {
			return err
		}
		wanted.Proxies = append(wanted.Proxies, p)
	}
	return s.supervisor.Run(ctx, s.opts.Cluster, wanted)
}

func (s *Spoke) proxy(w wish) (process.Proxy, error) {
	namespace, gateway, _ := strings.Cut(w.table, "/")
	ticket, err := s.tickets.Issue(pki.Name{
		Role: pki.Proxy, Fleet: s.identity.Name().Fleet, Cluster: s.opts.Cluster, Tenant: w.info.Tenant,
		Namespace: namespace, Gateway: gateway, Proxy: w.id,
	}, ticketLife)
	if err != nil {
		return process.Proxy{}, fmt.Errorf("make a ticket for proxy %q: %w", w.id, err)
	}
	of := ""
	if w.info.Gateway.Name != "" {
		of = w.table
	}
	options, err := json.Marshal(map[string]any{
		"fleet": s.identity.Name().Fleet, "cluster": s.opts.Cluster, "tenant": w.info.Tenant, "gateway": of, "id": w.id,
		"spoke": s.reached(s.ports.config), "ticket": ticket, "heartbeat": s.opts.Heartbeat, "standalone": true, "anyPort": s.opts.AnyPort,
	})
	if err != nil {
		return process.Proxy{}, fmt.Errorf("write the options of proxy %q: %w", w.id, err)
	}
	out := process.Proxy{Name: w.id, Options: options, Env: w.info.Env}
	if d := w.info.Runtime.Drain; d != nil {
		out.Drain = d.Max
	}
	return out, nil
}
