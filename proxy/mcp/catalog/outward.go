package catalog

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/proxy/mcp/jsonrpc"
)

// Result gives the resources that a server's result names their outer URIs, so
// that a client can ask for them: what was read, links in a tool's or prompt's
// content, and embedded resources.
func (n Names) Result(server, method string, result jsontext.Value) jsontext.Value {
	if !n.prefixed {
		return result
	}
	switch method {
	case "resources/read":
		return n.each(result, "contents", func(c jsontext.Value) jsontext.Value {
			return n.uriMember(server, c, "uri")
		})
	case "tools/call":
		return n.each(result, "content", func(c jsontext.Value) jsontext.Value {
			return n.content(server, c)
		})
	case "prompts/get":
		return n.each(result, "messages", func(m jsontext.Value) jsontext.Value {
			return jsonrpc.EditMember(m, "content", func(c jsontext.Value) jsontext.Value {
				return n.content(server, c)
			})
		})
	}
	return result
}

func (n Names) each(result jsontext.Value, member string, f func(jsontext.Value) jsontext.Value) jsontext.Value {
	return jsonrpc.EditMember(result, member, func(list jsontext.Value) jsontext.Value {
		out, err := jsonrpc.EditArray(list, f)
		if err != nil {
			return list
		}
		return out
	})
}

func (n Names) content(server string, c jsontext.Value) jsontext.Value {
	switch kind, _ := jsonrpc.Text(jsonrpc.Get(c, "type")); kind {
	case "resource_link":
		return n.uriMember(server, c, "uri")
	case "resource":
		return jsonrpc.EditMember(c, "resource", func(r jsontext.Value) jsontext.Value {
			return n.uriMember(server, r, "uri")
		})
	}
	return c
}

// Notice gives the resource that a server's notification names its outer URI.
func (n Names) Notice(server, method string, params jsontext.Value) jsontext.Value {
	if !n.prefixed || method != "notifications/resources/updated" {
		return params
	}
	return n.uriMember(server, params, "uri")
}
