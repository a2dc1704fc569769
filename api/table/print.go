package table

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Print writes a table as people read it: one line a resource, in order, with
// its details indented under it. Equal tables print alike and unequal ones do
// not; of a secret only the names of its entries and a short hash are shown.
func Print(w io.Writer, t Table) error {
	for r := range t.All() {
		if _, err := io.WriteString(w, Line(r)); err != nil {
			return fmt.Errorf("print %s: %w", r.ID(), err)
		}
	}
	return nil
}

// Line is one resource as Print shows it, with its details, newline included.
func Line(r Resource) string {
	p := &printer{}
	switch r := r.(type) {
	case *Self:
		p.self(r)
	case *Listener:
		p.listener(r)
	case *Rule:
		p.rule(r)
	case *Policy:
		p.policy(r)
	case *Backend:
		p.backend(r)
	case *Endpoints:
		p.endpoints(r)
	case *Peer:
		p.peer(r)
	case *Host:
		p.head("host", r.Name, "->", r.Address, flag("plaintext", r.Plaintext), pair("ca", shortHash(r.CA)))
	case *Secret:
		p.secret(r)
	}
	return p.String()
}

// printer lays out one resource.
type printer struct{ strings.Builder }

// head writes the resource's line; empty words are left out.
func (p *printer) head(words ...string) { p.line(0, words...) }

func (p *printer) line(depth int, words ...string) {
	p.WriteString(strings.Repeat("  ", depth))
	p.WriteString(strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " "))
	p.WriteByte('\n')
}

func pair(name, value string) string {
	if value == "" {
		return ""
	}
	return name + "=" + word(value)
}

// word quotes a value that would not stand as one word.
func word(v string) string {
	if v == "" || strings.ContainsAny(v, " \t\r\n\"=") || strconv.Quote(v) != `"`+v+`"` {
		return strconv.Quote(v)
	}
	return v
}

func flag(name string, on bool) string {
	if on {
		return name
	}
	return ""
}

func number[N ~int | ~int32 | ~int64 | ~uint16](name string, n N) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s=%d", name, n)
}

func list[S ~string](name string, values []S) string {
	if len(values) == 0 {
		return ""
	}
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = word(string(v))
	}
	return name + "=" + strings.Join(words, ",")
}

func span(name string, d Duration) string {
	if d == 0 {
		return ""
	}
	return name + "=" + d.Std().String()
}

func or(v, unset string) string {
	if v == "" {
		return unset
	}
	return v
}

func shortHash(v string) string {
	if v == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(v))
	return hex.EncodeToString(sum[:4])
}

func (p *printer) closed(depth int, why string) {
	if why != "" {
		p.line(depth, "closed:", why)
	}
}

func (p *printer) self(s *Self) {
	home := s.Home
	if home == s.Cluster {
		home = "here"
	}
	p.head("self", pair("cluster", s.Cluster), pair("region", s.Region), pair("tenant", s.Tenant),
		pair("gateway", s.Gateway), pair("home", home), pair("sessionKeys", s.SessionKeys),
		flag("servedBy", s.ServedBy), flag("probe", s.Probe != ""), flag("standalone", s.Standalone), pair("azureName", s.AzureName),
		pair("logLevel", s.LogLevel), pair("logFormat", s.LogFormat), s.Drain.String(),
		list("allowed", s.AllowedAddresses), list("revoked", s.Revoked))
}

// String is empty for none.
func (d *Drain) String() string {
	if d == nil {
		return ""
	}
	return fmt.Sprintf("drain=%ds..%ds", d.Min, d.Max)
}

func (p *printer) listener(l *Listener) {
	p.head("listener", l.Name, ":"+strconv.Itoa(int(l.Port)), string(l.Protocol), or(l.Hostname, "*"),
		list("certificates", l.Certificates))
	if l.Name != l.Gateway+"/"+l.Section {
		p.line(1, pair("gateway", l.Gateway), pair("section", l.Section))
	}
}

func (p *printer) endpoints(e *Endpoints) {
	p.head("endpoints", e.Name)
	for _, a := range e.Addresses {
		p.line(1, fmt.Sprintf("%s:%d", a.Host, a.Port))
	}
	if e.Missing != "" {
		p.line(1, "missing:", e.Missing)
	}
}

func (p *printer) peer(peer *Peer) {
	p.head("peer", peer.Cluster, pair("region", peer.Region), string(peer.State))
	for _, x := range peer.Proxies {
		p.line(1, "proxy", x.ID, x.Address, pair("tenant", x.Tenant), pair("gateway", x.Gateway))
	}
}

func (p *printer) secret(s *Secret) {
	p.head("secret", s.Name)
	for _, k := range slices.Sorted(maps.Keys(s.Data)) {
		p.line(1, word(k), "sha256:"+or(shortHash(string(s.Data[k])), "empty"))
	}
}

func (p *printer) policy(policy *Policy) {
	p.head("policy", policy.Name, number("created", policy.Created))
	for _, t := range policy.Targets {
		p.line(1, "target", t.Kind, t.Namespace+"/"+t.Name, pair("section", t.Section))
	}
	if a := policy.Authorization; a != nil {
		p.line(1, "authorization", string(a.Action))
		for _, e := range a.Expressions {
			p.line(2, e)
		}
	}
	if k := policy.APIKey; k != nil {
		p.line(1, "apiKey", string(k.Mode), list("secrets", k.Secrets), location(k.Location))
	}
	p.closed(1, policy.Closed)
}

func location(l Location) string {
	words := []string{pair("header", l.Header), pair("prefix", l.Prefix), pair("query", l.Query), pair("cookie", l.Cookie)}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}
