package forward

import (
	"strings"

	"github.com/navehq/nave/proxy/filter/apikey"
	"github.com/navehq/nave/proxy/message"
)

// facts are what expressions may ask of a request before its body is read.
type facts struct {
	request *message.Request
	// path and query are the client's own, whatever filters made of them.
	method, authority, path, query string
	client                         *apikey.Client
	life                           *life
}

// Fact implements expr.Facts.
func (f *facts) Fact(name string) (any, bool) {
	switch name {
	case "apiKey":
		if f.client == nil {
			return nil, false
		}
		if f.client.Metadata == nil {
			return map[string]any{}, true
		}
		return f.client.Metadata, true
	case "source.address":
		return f.request.Remote.Addr().Unmap().String(), f.request.Remote.IsValid()
	case "source.port":
		return int64(f.request.Remote.Port()), f.request.Remote.IsValid()
	}
	if rest, ok := strings.CutPrefix(name, "request."); ok {
		return f.requestFact(rest)
	}
	return f.proxyFact(name)
}

func (f *facts) requestFact(name string) (any, bool) {
	r := f.request
	switch name {
	case "method":
		return f.method, true
	case "host":
		return f.authority, true
	case "scheme":
		return r.Scheme, true
	case "path":
		return f.path, true
	case "pathAndQuery":
		return f.target(), true
	case "uri":
		return r.Scheme + "://" + f.authority + f.target(), true
	case "version":
		return r.Protocol.String(), true
	case "headers":
		return headers(&r.Header), true
	}
	return nil, false
}

func (f *facts) target() string {
	if f.query == "" {
		return f.path
	}
	return f.path + "?" + f.query
}

func headers(h *message.Header) map[string]string {
	m := make(map[string]string, h.Len())
	for field := range h.All() {
		name := strings.ToLower(field.Name)
		if was, ok := m[name]; ok {
			m[name] = was + "," + field.Value
		} else {
			m[name] = field.Value
		}
	}
	return m
}

func (f *facts) proxyFact(name string) (any, bool) {
	if f.life == nil {
		return nil, false
	}
	listener, rule := f.life.result.Listener, f.life.result.Rule
	switch name {
	case "proxy.gateway.namespace", "proxy.gateway.name":
		if listener == nil {
			return nil, false
		}
		namespace, gateway, _ := strings.Cut(listener.Gateway, "/")
		if name == "proxy.gateway.name" {
			return gateway, true
		}
		return namespace, true
	case "proxy.listener.name":
		if listener == nil {
			return nil, false
		}
		return listener.Section, true
	}
	if rule == nil {
		return nil, false
	}
	switch name {
	case "proxy.route.namespace":
		return rule.Route.Namespace, true
	case "proxy.route.name":
		return rule.Route.Name, true
	case "proxy.route.kind":
		return rule.Route.Kind, true
	case "proxy.route.rule":
		return rule.Section, rule.Section != ""
	}
	return nil, false
}
