package table

import (
	"fmt"
	"strconv"
	"strings"
)

func (p *printer) rule(r *Rule) {
	p.head("rule", r.Name, pair("section", r.Section), pair("cluster", r.Route.Cluster), number("created", r.Created))
	if want := fmt.Sprintf("%s/%d", r.Route, r.Index); want != r.Name {
		p.line(1, "route", r.Route.String(), strconv.Itoa(r.Index))
	}
	for _, b := range r.Binds {
		hosts := make([]string, len(b.Hostnames))
		for i, h := range b.Hostnames {
			hosts[i] = or(h, "*")
		}
		p.line(1, "bind", b.Listener, strings.Join(hosts, ","))
	}
	for _, m := range r.Matches {
		p.match(m)
	}
	p.filters(1, r.Filters)
	if t := span("request", r.RequestTimeout) + " " + span("backend", r.BackendTimeout); t != " " {
		p.line(1, "timeout", strings.TrimSpace(t))
	}
	if t := r.Retry; t != nil {
		p.line(1, "retry", fmt.Sprintf("attempts=%d", t.Attempts), codes(t.Codes), span("backoff", t.Backoff))
	}
	for _, b := range r.Backends {
		p.line(1, "backend", or(b.Backend, "none"), fmt.Sprintf("weight=%d", b.Weight))
		p.filters(2, b.Filters)
		p.closed(2, b.Closed)
	}
	for _, s := range r.Steering {
		p.line(1, "steering", s.Backend, pair("listener", s.Listener), pair("by", s.By))
		p.closed(2, s.Closed)
		p.failover(2, &s.Failover)
	}
	p.closed(1, r.Closed)
}

func codes(list []int) string { return pair("codes", strings.Join(texts(list), ",")) }

func texts(list []int) []string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = strconv.Itoa(n)
	}
	return words
}

func (p *printer) match(m Match) {
	words := []string{"match", m.Method, "path " + value(m.Path)}
	for _, h := range m.Headers {
		words = append(words, "header "+word(h.Name)+" "+value(h.ValueMatch))
	}
	for _, q := range m.Query {
		words = append(words, "query "+word(q.Name)+" "+value(q.ValueMatch))
	}
	p.line(1, words...)
}

func value(v ValueMatch) string { return strings.ToLower(string(v.Type)) + " " + word(v.Value) }

func (p *printer) filters(depth int, filters []Filter) {
	for _, f := range filters {
		p.filter(depth, f)
	}
}

func (p *printer) filter(depth int, f Filter) {
	if h := f.RequestHeaders; h != nil {
		p.line(depth, "filter request headers", edit(h))
	}
	if h := f.ResponseHeaders; h != nil {
		p.line(depth, "filter response headers", edit(h))
	}
	if r := f.Redirect; r != nil {
		p.line(depth, "filter redirect", strconv.Itoa(r.Status), pair("scheme", r.Scheme), pair("host", r.Hostname),
			number("port", r.Port), path(r.Path))
	}
	if r := f.Rewrite; r != nil {
		p.line(depth, "filter rewrite", pair("host", r.Hostname), path(r.Path))
	}
	if m := f.Mirror; m != nil {
		p.line(depth, "filter mirror", m.Backend, fmt.Sprintf("%d/%d", m.Numerator, m.Denominator))
	}
	if c := f.CORS; c != nil {
		p.line(depth, "filter cors", list("origins", c.AllowOrigins), list("methods", c.AllowMethods),
			list("headers", c.AllowHeaders), list("expose", c.ExposeHeaders),
			flag("credentials", c.AllowCredentials), number("maxAge", c.MaxAge))
	}
}

func edit(h *HeaderEdit) string {
	var words []string
	for _, v := range h.Set {
		words = append(words, "set "+v.Name+": "+word(v.Value))
	}
	for _, v := range h.Add {
		words = append(words, "add "+v.Name+": "+word(v.Value))
	}
	for _, name := range h.Remove {
		words = append(words, "remove "+name)
	}
	return strings.Join(words, ", ")
}

func path(e *PathEdit) string {
	switch {
	case e == nil:
		return ""
	case e.Full != nil && e.Prefix != nil:
		return "path=" + word(*e.Full) + " prefix=" + word(*e.Prefix)
	case e.Full != nil:
		return "path=" + word(*e.Full)
	case e.Prefix != nil:
		return "prefix=" + word(*e.Prefix)
	}
	return "path=same"
}
