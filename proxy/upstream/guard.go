package upstream

import (
	"fmt"
	"net/netip"
	"slices"
)

// metadata are the addresses at which clouds hand out credentials, besides the
// link-local ones: Azure's wire server, AWS's over IPv6, Alibaba's.
var metadata = []netip.Addr{
	netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200"),
}

// own are the ports of Nave that no route may lead to: admin, metrics, health
// and link of proxies, configuration and gossip of spokes.
var own = []uint16{15000, 15020, 15021, 15443, 9978, 7946}

// guard refuses an address that no declaration may reach, whatever name led
// there. named admits loopback, for addresses that the table itself names.
func (u *Upstream) guard(a netip.AddrPort, named bool) error {
	why := refused(a)
	if why == "" || named && a.Addr().Unmap().IsLoopback() && !slices.Contains(own, a.Port()) || u.opt.Allow(a) {
		return nil
	}
	return fmt.Errorf("dialing %s: %s addresses are refused", a, why)
}

// refused names the class of addresses that a belongs to and that is refused.
func refused(a netip.AddrPort) string {
	ip := a.Addr().Unmap().WithZone("")
	switch {
	case ip.IsLoopback():
		return "loopback"
	case ip.IsUnspecified():
		return "unspecified"
	case ip.IsLinkLocalUnicast():
		return "link-local"
	case ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "multicast and broadcast"
	case slices.Contains(metadata, ip):
		return "metadata"
	case a.Port() == 0:
		return "portless"
	case slices.Contains(own, a.Port()):
		return "Nave's own"
	}
	return embedded(ip, a.Port())
}

// embedded looks through the IPv6 forms that carry an IPv4 address (NAT64,
// 6to4), since what is refused must not come in by another spelling.
func embedded(ip netip.Addr, port uint16) string {
	if !ip.Is6() {
		return ""
	}
	b := ip.As16()
	var v4 [4]byte
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(ip):
		v4 = [4]byte(b[12:16])
	case netip.MustParsePrefix("2002::/16").Contains(ip):
		v4 = [4]byte(b[2:6])
	case netip.MustParsePrefix("::/96").Contains(ip):
		v4 = [4]byte(b[12:16])
	default:
		return ""
	}
	return refused(netip.AddrPortFrom(netip.AddrFrom4(v4), port))
}
