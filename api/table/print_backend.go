package table

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (p *printer) backend(b *Backend) {
	p.head("backend", b.Name, "kind="+string(b.Kind), pair("tenant", b.Tenant), flag("fleet", b.Fleet))
	p.closed(1, b.Closed)
	if m := b.MCP; m != nil {
		p.line(1, "mcp", pair("prefix", m.Prefix), flag("failOpen", m.FailOpen), flag("stateless", m.Stateless))
	}
	p.failover(1, &b.Failover)
	for i, g := range b.Groups {
		p.line(1, "group", fmt.Sprint(i))
		for _, m := range g {
			p.member(2, &m)
		}
	}
	if len(b.Serves) > 0 {
		p.line(1, "serves others")
		for _, m := range b.Serves {
			p.member(2, &m)
		}
	}
}

func (p *printer) failover(depth int, f *Failover) {
	words := []string{
		list("regions", f.Regions), span("margin", f.Margin), list("allowed", f.AllowedRegions),
		list("triggers", f.Triggers), number("attempts", f.Attempts), span("perAttempt", f.PerAttemptTimeout),
		number("budget%", f.BudgetPercent), number("maxBody", f.MaxBody), flag("replayUnsafe", f.ReplayUnsafe),
		flag("disabled", f.Disabled),
	}
	if f.Order != "" {
		words = append([]string{"order=" + string(f.Order)}, words...)
	}
	p.optional(depth, "failover", words)
	b := f.Failback
	p.optional(depth, "failback", []string{
		span("window", b.Window), span("absolute", b.Absolute), number("percent", b.Percent), span("ramp", b.Ramp),
		list("steps%", texts(b.Steps)),
	})
}

// optional writes a line if any of its words is there.
func (p *printer) optional(depth int, name string, words []string) {
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	if len(words) > 0 {
		p.line(depth, append([]string{name}, words...)...)
	}
}

func (p *printer) member(depth int, m *Member) {
	p.line(depth, "member", or(m.Name, "-"), number("weight", m.Weight), model(m.Model), server(m.Server))
	for _, i := range m.Instances {
		p.line(depth+1, "at", i.Cluster, pair("region", i.Region), model(i.Model), server(i.Server))
		p.dial(depth+2, i.Dial)
		p.auth(depth+2, i.Auth)
		p.closed(depth+2, i.Closed)
	}
}

func model(m *Model) string {
	if m == nil {
		return ""
	}
	words := []string{
		"provider=" + string(m.Provider), pair("model", m.Model), pair("deployment", m.Deployment),
		pair("apiVersion", m.APIVersion), pair("project", m.Project), pair("path", m.Path),
		pair("pathPrefix", m.PathPrefix), flag("hostOverride", m.HostOverride),
		table("aliases", m.Aliases), table("routes", m.Routes),
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

func table(name string, m map[string]string) string {
	var words []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		words = append(words, word(k)+":"+word(m[k]))
	}
	if len(words) == 0 {
		return ""
	}
	return name + "=" + strings.Join(words, ",")
}

func server(s *Server) string {
	if s == nil {
		return ""
	}
	if s.SSE {
		return "sse " + pair("path", s.Path)
	}
	return "http " + pair("path", s.Path)
}

func (p *printer) dial(depth int, d *Dial) {
	if d == nil {
		return
	}
	p.line(depth, "dial", fmt.Sprintf("%s:%d", d.Host, d.Port), pair("endpoints", d.Endpoints), flag("http2", d.HTTP2),
		span("connect", d.ConnectTimeout), span("request", d.RequestTimeout))
	if t := d.TLS; t != nil {
		p.line(depth+1, "tls", pair("name", t.ServerName), list("sans", t.SANs), pair("ca", t.CA),
			pair("certificate", t.Certificate), pair("insecure", t.Insecure), list("alpn", t.ALPN))
	}
}

func (p *printer) auth(depth int, a *Auth) {
	if a == nil {
		return
	}
	words := []string{"auth", string(a.Kind), pair("secret", a.Secret), pair("key", a.Key)}
	if a.Location != nil {
		words = append(words, "location", location(*a.Location))
	}
	if z := a.Azure; z != nil {
		words = append(words, "azure", pair("type", z.Type), pair("clientID", z.ClientID),
			pair("objectID", z.ObjectID), pair("resourceID", z.ResourceID))
	}
	p.line(depth, words...)
}
