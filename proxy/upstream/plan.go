package upstream

import (
	"context"
	"crypto/tls"
	"net/netip"
	"strconv"
	"strings"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/message"
)

// plan is where one request may be sent.
type plan struct {
	name      string // as declared, host:port
	scheme    string
	addresses []netip.AddrPort
	tls       *tls.Config
	resolved  bool // addresses come from a name
}

// label is how logs name an address: the declared name where there is one.
func (p *plan) label(a netip.AddrPort) string {
	if p.resolved {
		return p.name
	}
	return a.String()
}

// plan finds the addresses: those of an Endpoints resource, those that a host
// is mapped to, or those that its name resolves to. Only the first two may be
// loopback, and only standalone, since a person who may edit the folder named
// them; a name that resolves to loopback never may.
func (u *Upstream) plan(ctx context.Context, t Target) (plan, error) {
	d := t.Dial
	p := plan{name: hostPort(d.Host, d.Port), scheme: "http"}
	if d.TLS != nil {
		p.scheme = "https"
	}
	var err error
	if d.Endpoints != "" {
		e, _ := t.Find(table.ID{Kind: table.KindEndpoints, Name: d.Endpoints}).(*table.Endpoints)
		if e == nil || len(e.Addresses) == 0 {
			return p, failed(message.StageConnect, p.name, missing(e, d.Endpoints))
		}
		if p.addresses, err = u.endpoints(e, t.Standalone); err != nil {
			return p, failed(message.StageConnect, p.name, err)
		}
		p.tls, err = u.tls.get(d, nil, t.Find)
	} else {
		err = u.host(ctx, t, &p)
	}
	if err != nil {
		return p, asFailed(p.name, err)
	}
	p.addresses = u.arrange(p.addresses)
	return p, nil
}

func (u *Upstream) endpoints(e *table.Endpoints, standalone bool) ([]netip.AddrPort, error) {
	list := make([]netip.AddrPort, 0, len(e.Addresses))
	var refused error
	for _, a := range e.Addresses {
		ip, err := netip.ParseAddr(a.Host)
		if err == nil {
			err = u.guard(netip.AddrPortFrom(ip, a.Port), standalone)
		}
		if err != nil {
			refused = err
			continue
		}
		list = append(list, netip.AddrPortFrom(ip.Unmap(), a.Port))
	}
	if len(list) == 0 {
		return nil, refused
	}
	return list, nil
}

// host plans for a declared host: mapped, an address, or a name.
func (u *Upstream) host(ctx context.Context, t Target, p *plan) error {
	d := t.Dial
	key := strings.ToLower(d.Host) + ":" + strconv.Itoa(int(d.Port))
	mapped, _ := t.Find(table.ID{Kind: table.KindHost, Name: key}).(*table.Host)
	host, port := d.Host, d.Port
	if mapped != nil {
		host, port = split(mapped.Address, d.Port)
		if mapped.Plaintext {
			p.scheme = "http"
		}
	}
	ips, err := u.names.lookup(ctx, host)
	if err != nil {
		return failed(message.StageResolve, p.name, err)
	}
	_, literal := netip.ParseAddr(host)
	p.resolved = mapped != nil || literal != nil
	var refused error
	for _, ip := range ips {
		a := netip.AddrPortFrom(ip.Unmap(), port)
		if err := u.guard(a, t.Standalone && mapped != nil); err != nil {
			refused = err
			continue
		}
		p.addresses = append(p.addresses, a)
	}
	if len(p.addresses) == 0 {
		return refused
	}
	if p.scheme == "https" {
		p.tls, err = u.tls.get(d, mapped, t.Find)
	}
	return err
}

func split(address string, port uint16) (string, uint16) {
	if a, err := netip.ParseAddrPort(address); err == nil {
		return a.Addr().String(), a.Port()
	}
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return address, port
	}
	if n, err := strconv.ParseUint(address[i+1:], 10, 16); err == nil {
		return address[:i], uint16(n)
	}
	return address, port
}

func asFailed(name string, err error) error {
	if _, ok := err.(*message.SendError); ok {
		return err
	}
	return failed(message.StageConnect, name, err)
}
