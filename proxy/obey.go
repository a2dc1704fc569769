package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/listen"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
)

func randomWord() uint64 { return rand.Uint64() }

// certificates are the TLS configurations of the HTTPS listeners by name.
type certificates map[string]*tls.Config

var errNoCertificate = errors.New("no listener has a certificate for this name")

// check tells whether a table could be obeyed.
func (p *Proxy) check(t table.Table, changes []table.Change) error {
	if _, err := p.forwarder.Index().Apply(t, changes); err != nil {
		return err
	}
	_, err := readCertificates(t)
	return err
}

// obey takes a table into effect: the index by one pointer, then the sockets.
func (p *Proxy) obey(t table.Table, changes []table.Change, revision string) error {
	index, err := p.forwarder.Index().Apply(t, changes)
	if err != nil {
		return err
	}
	if touches(changes, table.KindListener, table.KindSecret) {
		certs, err := readCertificates(t)
		if err != nil {
			return err
		}
		p.certificates.Store(&certs)
	}
	if touches(changes, table.KindEndpoints, table.KindHost, table.KindSelf) {
		p.admit(t)
	}
	p.forwarder.SetIndex(index)
	if touches(changes, table.KindSelf) {
		p.revoke(t)
		p.heed(t)
	}
	if touches(changes, table.KindPeer) {
		p.link.SetPeers(slices.Collect(table.Each[*table.Peer](t)))
	}
	if touches(changes, table.KindListener) {
		p.open(t)
	}
	p.deps.Log.Info("obey a table", "revision", revision, "changes", len(changes), "resources", t.Len())
	p.ready.Store(true)
	select {
	case p.changed <- struct{}{}:
	default: // a report is due already
	}
	return nil
}

// find looks up the table that is obeyed now.
func (p *Proxy) find(id table.ID) table.Resource { return p.forwarder.Index().Find(id) }

// revoke takes the fleet's list of revoked identities, and ends the links of
// those that are on it.
func (p *Proxy) revoke(t table.Table) {
	self := table.Find[*table.Self](t, "self")
	if self == nil || slices.Equal(self.Revoked, p.identity.Revoked()) {
		return
	}
	p.identity.Revoke(self.Revoked)
	p.link.Recheck()
	p.linkServer.Recheck()
}

func touches(changes []table.Change, kinds ...table.Kind) bool {
	return slices.ContainsFunc(changes, func(c table.Change) bool { return slices.Contains(kinds, c.ID.Kind) })
}

func readCertificates(t table.Table) (certificates, error) {
	certs := certificates{}
	for l := range table.Each[*table.Listener](t) {
		if l.Protocol != table.ProtocolHTTPS {
			continue
		}
		config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: listen.ALPN}
		for _, name := range l.Certificates {
			secret := table.Find[*table.Secret](t, name)
			if secret == nil {
				return nil, fmt.Errorf("listener %q: secret %q is not in the table", l.Name, name)
			}
			pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
			if err != nil {
				return nil, fmt.Errorf("listener %q: secret %q: %w", l.Name, name, err)
			}
			config.Certificates = append(config.Certificates, pair)
		}
		certs[l.Name] = config
	}
	return certs, nil
}

// admitted are the addresses that may be dialled although their kind is refused.
type admitted struct {
	// named are the loopback addresses that the table names: in a folder, servers
	// on this machine are meant, and nothing else that listens here.
	named map[string]bool
	// prefixes are what the platform team allows the tenant.
	prefixes []netip.Prefix
}

func (p *Proxy) admit(t table.Table) {
	allowed := map[string]bool{}
	if p.opts.Standalone {
		for e := range table.Each[*table.Endpoints](t) {
			for _, a := range e.Addresses {
				allowed[net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))] = true
			}
		}
		for h := range table.Each[*table.Host](t) {
			allowed[h.Address] = true
		}
	}
	out := &admitted{named: allowed}
	for s := range table.Each[*table.Self](t) {
		for _, c := range s.AllowedAddresses {
			if prefix, err := netip.ParsePrefix(c); err == nil {
				out.prefixes = append(out.prefixes, prefix)
			}
		}
	}
	p.allowed.Store(out)
}

func (p *Proxy) allow(a netip.AddrPort) bool {
	allowed := p.allowed.Load()
	if allowed == nil {
		return false
	}
	ip := a.Addr().Unmap()
	return allowed.named[a.String()] || slices.ContainsFunc(allowed.prefixes, func(x netip.Prefix) bool { return x.Contains(ip) })
}

// open brings the sockets in line with the listeners: one for each port.
func (p *Proxy) open(t table.Table) {
	byPort := map[uint16][]*table.Listener{}
	for l := range table.Each[*table.Listener](t) {
		byPort[l.Port] = append(byPort[l.Port], l)
	}
	var specs []listen.Spec
	for port, list := range byPort {
		secure := list[0].Protocol == table.ProtocolHTTPS
		spec := listen.Spec{Name: list[0].Name, Address: p.address(port), Handler: p.forwarder.Handler(port, secure), Meter: p.meter(port, list)}
		if secure {
			spec.Protocol = listen.HTTPS
			spec.TLS = p.configFor(port)
		}
		specs = append(specs, spec)
	}
	slices.SortFunc(specs, func(a, b listen.Spec) int { return compareStrings(a.Address, b.Address) })
	failures := p.sockets.Apply(specs)
	for _, f := range failures {
		p.deps.Log.Error("open a listener", "listener", f.Name, "address", f.Address, "err", f.Err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = failures
	p.bound = p.urls(byPort)
}

// meter finds what counts the connections of a port. Which of several listeners
// a connection is for, only TLS tells.
func (p *Proxy) meter(port uint16, list []*table.Listener) func(*message.TLS) *observe.Downstream {
	protocol := "http"
	if list[0].Protocol == table.ProtocolHTTPS {
		protocol = "https"
	}
	bind, section := forward.Bind(list[0]), ""
	if len(list) == 1 {
		section = list[0].Section
	}
	one := p.observer.Downstream(bind, list[0].Gateway, section, protocol)
	return func(t *message.TLS) *observe.Downstream {
		if t == nil || section != "" {
			return one
		}
		l := p.forwarder.Index().Listener(port, t.ServerName)
		if l == nil {
			return one
		}
		return p.observer.Downstream(forward.Bind(l), l.Gateway, l.Section, protocol)
	}
}

func compareStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (p *Proxy) address(port uint16) string {
	return net.JoinHostPort(p.opts.Address, strconv.Itoa(int(port)))
}

// configFor finds the configuration of the listener that a hello is for.
func (p *Proxy) configFor(port uint16) func(*tls.ClientHelloInfo) (*tls.Config, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		l := p.forwarder.Index().Listener(port, hello.ServerName)
		certs := p.certificates.Load()
		if l == nil || certs == nil || (*certs)[l.Name] == nil {
			return nil, fmt.Errorf("serve TLS for %q: %w", hello.ServerName, errNoCertificate)
		}
		return (*certs)[l.Name], nil
	}
}

// urls are where each listener's section answers.
func (p *Proxy) urls(byPort map[uint16][]*table.Listener) map[string][]string {
	out := map[string][]string{}
	for port, list := range byPort {
		addr := p.sockets.Addr(p.address(port))
		if addr == nil {
			continue
		}
		ap, err := netip.ParseAddrPort(addr.String())
		if err != nil {
			continue
		}
		host := ap.Addr().String()
		if ap.Addr().IsUnspecified() && p.opts.Advertise != "" {
			host = p.opts.Advertise
		}
		for _, l := range list {
			scheme := "http"
			if l.Protocol == table.ProtocolHTTPS {
				scheme = "https"
			}
			out[l.Section] = append(out[l.Section], scheme+"://"+net.JoinHostPort(host, strconv.Itoa(int(ap.Port()))))
		}
	}
	return out
}
