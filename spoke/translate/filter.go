package translate

import (
	"fmt"
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/table"
)

// filters translates a rule's filters. One that is invalid, unknown or not
// built closes the rule, since a filter must never be skipped.
func (t *ruleTranslation) filters(list []gwv1.HTTPRouteFilter, path string) []table.Filter {
	var out []table.Filter
	seen := map[gwv1.HTTPRouteFilterType]bool{}
	for i, f := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if seen[f.Type] && f.Type != gwv1.HTTPRouteFilterRequestMirror && f.Type != gwv1.HTTPRouteFilterExtensionRef {
			t.close(at+".type", fmt.Sprintf("%s is there twice", f.Type))
		}
		seen[f.Type] = true
		if got, ok := t.filter(f, at); ok {
			out = append(out, got)
		}
	}
	if seen[gwv1.HTTPRouteFilterRequestRedirect] && seen[gwv1.HTTPRouteFilterURLRewrite] {
		f := unsupported(path, "RequestRedirect and URLRewrite exclude each other")
		f.reason = string(gwv1.RouteReasonIncompatibleFilters)
		t.bad = append(t.bad, f)
	}
	return out
}

func (t *ruleTranslation) filter(f gwv1.HTTPRouteFilter, path string) (table.Filter, bool) {
	switch {
	case f.Type == gwv1.HTTPRouteFilterRequestHeaderModifier && f.RequestHeaderModifier != nil:
		return table.Filter{RequestHeaders: t.headers(f.RequestHeaderModifier, path+".requestHeaderModifier")}, true
	case f.Type == gwv1.HTTPRouteFilterResponseHeaderModifier && f.ResponseHeaderModifier != nil:
		return table.Filter{ResponseHeaders: t.headers(f.ResponseHeaderModifier, path+".responseHeaderModifier")}, true
	case f.Type == gwv1.HTTPRouteFilterRequestRedirect && f.RequestRedirect != nil:
		return table.Filter{Redirect: t.redirect(f.RequestRedirect, path+".requestRedirect")}, true
	case f.Type == gwv1.HTTPRouteFilterURLRewrite && f.URLRewrite != nil:
		return table.Filter{Rewrite: t.rewrite(f.URLRewrite, path+".urlRewrite")}, true
	case f.Type == gwv1.HTTPRouteFilterCORS && f.CORS != nil:
		return table.Filter{CORS: t.cors(f.CORS, path+".cors")}, true
	case f.Type == gwv1.HTTPRouteFilterRequestMirror && f.RequestMirror != nil:
		m := t.mirror(f.RequestMirror, path+".requestMirror")
		return table.Filter{Mirror: m}, m != nil
	case f.Type == gwv1.HTTPRouteFilterExtensionRef:
		t.bad = append(t.bad, notBuilt(path+".extensionRef"))
	case f.Type == gwv1.HTTPRouteFilterExternalAuth:
		t.bad = append(t.bad, notBuilt(path+".externalAuth"))
	default:
		t.close(path, fmt.Sprintf("type %q and its settings do not go together", f.Type))
	}
	return table.Filter{}, false
}

// backendFilters are those that may stand at a reference.
func (t *ruleTranslation) backendFilters(list []gwv1.HTTPRouteFilter, path string) []table.Filter {
	for i, f := range list {
		if f.Type == gwv1.HTTPRouteFilterRequestRedirect {
			t.close(fmt.Sprintf("%s[%d]", path, i), "RequestRedirect does not stand at a backend")
		}
	}
	return t.filters(list, path)
}

func (t *ruleTranslation) headers(h *gwv1.HTTPHeaderFilter, path string) *table.HeaderEdit {
	out := &table.HeaderEdit{}
	for i, v := range h.Set {
		out.Set = append(out.Set, t.header(v, fmt.Sprintf("%s.set[%d]", path, i)))
	}
	for i, v := range h.Add {
		out.Add = append(out.Add, t.header(v, fmt.Sprintf("%s.add[%d]", path, i)))
	}
	for i, name := range h.Remove {
		t.headerName(name, fmt.Sprintf("%s.remove[%d]", path, i))
		out.Remove = append(out.Remove, name)
	}
	return out
}

func (t *ruleTranslation) header(v gwv1.HTTPHeader, path string) table.HeaderValue {
	t.headerName(string(v.Name), path+".name")
	if strings.ContainsAny(v.Value, "\r\n\x00") {
		t.close(path+".value", "has a line break")
	}
	return table.HeaderValue{Name: string(v.Name), Value: v.Value}
}

func (t *ruleTranslation) headerName(name, path string) {
	if !tokenPattern.MatchString(name) {
		t.close(path, fmt.Sprintf("%q is no header name", name))
	}
}

func (t *ruleTranslation) redirect(r *gwv1.HTTPRequestRedirectFilter, path string) *table.Redirect {
	out := &table.Redirect{Status: 302, Hostname: t.hostname(r.Hostname, path+".hostname"), Path: t.pathEdit(r.Path, path+".path")}
	if r.Scheme != nil {
		if out.Scheme = *r.Scheme; out.Scheme != "http" && out.Scheme != "https" {
			t.close(path+".scheme", fmt.Sprintf("%q is neither http nor https", out.Scheme))
		}
	}
	if r.Port != nil {
		if *r.Port < 1 || *r.Port > 65535 {
			t.close(path+".port", fmt.Sprintf("%d is no port", *r.Port))
		}
		out.Port = uint16(*r.Port)
	}
	if r.StatusCode != nil {
		if out.Status = *r.StatusCode; !slices.Contains([]int{301, 302, 303, 307, 308}, out.Status) {
			t.close(path+".statusCode", fmt.Sprintf("%d does not redirect", out.Status))
		}
	}
	return out
}

func (t *ruleTranslation) rewrite(r *gwv1.HTTPURLRewriteFilter, path string) *table.Rewrite {
	return &table.Rewrite{Hostname: t.hostname(r.Hostname, path+".hostname"), Path: t.pathEdit(r.Path, path+".path")}
}

func (t *ruleTranslation) hostname(h *gwv1.PreciseHostname, path string) string {
	if h == nil {
		return ""
	}
	name := strings.ToLower(string(*h))
	if !validHostname(name) || strings.HasPrefix(name, "*") {
		t.close(path, fmt.Sprintf("%q is no host name", name))
	}
	return name
}

func (t *ruleTranslation) pathEdit(p *gwv1.HTTPPathModifier, path string) *table.PathEdit {
	if p == nil {
		return nil
	}
	switch {
	case p.Type == gwv1.FullPathHTTPPathModifier && p.ReplaceFullPath != nil:
		t.replacement(*p.ReplaceFullPath, path+".replaceFullPath")
		return &table.PathEdit{Full: p.ReplaceFullPath}
	case p.Type == gwv1.PrefixMatchHTTPPathModifier && p.ReplacePrefixMatch != nil:
		t.replacement(*p.ReplacePrefixMatch, path+".replacePrefixMatch")
		for _, m := range t.out.rule.Matches {
			if m.Path.Type != table.Prefix {
				t.close(path+".replacePrefixMatch", "needs every match of the rule to be a PathPrefix")
			}
		}
		return &table.PathEdit{Prefix: p.ReplacePrefixMatch}
	}
	t.close(path, fmt.Sprintf("type %q and its value do not go together", p.Type))
	return nil
}

func (t *ruleTranslation) replacement(value, path string) {
	if strings.ContainsAny(value, "\r\n\x00 #?") {
		t.close(path, fmt.Sprintf("%q is no path", value))
	}
}

// mirror translates a mirror. One whose backend cannot be resolved sends
// nothing, and answers are served all the same.
func (t *ruleTranslation) mirror(m *gwv1.HTTPRequestMirrorFilter, path string) *table.Mirror {
	out := &table.Mirror{Numerator: 1, Denominator: 1}
	switch {
	case m.Percent != nil && m.Fraction != nil:
		t.close(path, "percent and fraction exclude each other")
	case m.Percent != nil:
		out.Numerator, out.Denominator = *m.Percent, 100
	case m.Fraction != nil:
		out.Numerator, out.Denominator = m.Fraction.Numerator, 100
		if m.Fraction.Denominator != nil {
			out.Denominator = *m.Fraction.Denominator
		}
	}
	if out.Numerator < 0 || out.Denominator < 1 || out.Numerator > out.Denominator {
		t.close(path, fmt.Sprintf("%d of %d is no share", out.Numerator, out.Denominator))
	}
	name, closed := t.refer(m.BackendRef, path+".backendRef")
	if closed != "" {
		return nil
	}
	out.Backend = name
	return out
}

func (t *ruleTranslation) cors(c *gwv1.HTTPCORSFilter, path string) *table.CORS {
	out := &table.CORS{MaxAge: c.MaxAge}
	for _, o := range c.AllowOrigins {
		out.AllowOrigins = append(out.AllowOrigins, string(o))
	}
	for _, m := range c.AllowMethods {
		out.AllowMethods = append(out.AllowMethods, string(m))
	}
	for i, h := range c.AllowHeaders {
		t.headerName(string(h), fmt.Sprintf("%s.allowHeaders[%d]", path, i))
		out.AllowHeaders = append(out.AllowHeaders, string(h))
	}
	for i, h := range c.ExposeHeaders {
		t.headerName(string(h), fmt.Sprintf("%s.exposeHeaders[%d]", path, i))
		out.ExposeHeaders = append(out.ExposeHeaders, string(h))
	}
	if c.AllowCredentials != nil {
		out.AllowCredentials = *c.AllowCredentials
	}
	if c.MaxAge < 0 {
		t.close(path+".maxAge", "is below 0")
	}
	return out
}
