package mcp

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/proxy/mcp/catalog"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
)

// find is the server of what a request names. Where names do not tell, the
// lists that were seen last do, and the servers are asked if they do not.
func (v *visit) find(ctx context.Context, known catalog.Method, m *jsonrpc.Message) (server, own string, err error) {
	if v.names.Telling() {
		return v.names.Find(known, m.Params)
	}
	name, uri, err := known.Name(m.Params)
	if err != nil {
		return "", "", err
	}
	lists := []string{"tools/list"}
	switch {
	case uri:
		lists = []string{"resources/list", "resources/templates/list"}
	case known.Type != "tool":
		lists = []string{"prompts/list"}
	}
	for range 2 {
		for _, list := range lists {
			of, _ := catalog.Lookup(list)
			if s, ok := v.p.whose.get(named{v.call.Backend.Name, of.List, name}); ok && slices.Contains(v.servers, s) {
				return s, name, nil
			}
		}
		for _, list := range lists {
			if s := v.search(ctx, list, name); s != "" {
				return s, name, nil
			}
		}
	}
	return "", "", fmt.Errorf("finding the server of %q: no server lists it", clip(name, 128))
}

// search pages through a list for the server of a name; a template is that of
// every URI that begins as it does.
func (v *visit) search(ctx context.Context, list, name string) string {
	known, _ := catalog.Lookup(list)
	servers, cursor := v.servers, catalog.Cursor{}
	for range 64 {
		m := request(ownID("search"), list, jsontext.Value("{}"))
		pages, failure := v.collect(ctx, &m, known, servers, cursor)
		if failure != nil {
			return ""
		}
		servers, cursor = nil, catalog.Cursor{}
		for _, p := range pages {
			if lists(p.Result, known.List, name) {
				return p.Server
			}
			if c, ok := jsonrpc.Text(jsonrpc.Get(p.Result, "nextCursor")); ok && c != "" {
				servers, cursor[p.Server] = append(servers, p.Server), c
			}
		}
		if len(servers) == 0 {
			return ""
		}
	}
	return ""
}

func lists(result jsontext.Value, list, name string) (found bool) {
	_ = jsonrpc.Elements(jsonrpc.Get(result, list), func(item jsontext.Value) error {
		member := map[string]string{"resources": "uri", "resourceTemplates": "uriTemplate"}[list]
		if member == "" {
			member = "name"
		}
		text, ok := jsonrpc.Text(jsonrpc.Get(item, member))
		if list == "resourceTemplates" {
			text, _, _ = strings.Cut(text, "{")
			found = found || ok && text != "" && strings.HasPrefix(name, text)
		} else {
			found = found || ok && text == name
		}
		return nil
	})
	return found
}

// recall remembers whose names these are, where names alone do not tell: the
// first server's, as in the merged list.
func (v *visit) recall(list, server string, result jsontext.Value) {
	if v.names.Telling() || list == "resourceTemplates" {
		return
	}
	member := "name"
	if list == "resources" {
		member = "uri"
	}
	_ = jsonrpc.Elements(jsonrpc.Get(result, list), func(item jsontext.Value) error {
		if text, ok := jsonrpc.Text(jsonrpc.Get(item, member)); ok {
			at := named{clone(v.call.Backend.Name), list, text}
			before, has := v.p.whose.get(at)
			if !has || slices.Index(v.servers, server) < slices.Index(v.servers, before) {
				v.p.whose.put(at, server)
			}
		}
		return nil
	})
}
