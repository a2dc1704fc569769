package catalog

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/proxy/mcp/jsonrpc"
)

// Page is one server's answer to a list method.
type Page struct {
	Server string
	Result jsontext.Value
}

// naming are the members of a list's items that hold names: the first by
// Names.Outer, the second by Names.OuterURI.
var naming = map[string][2]string{
	"tools":             {"name", ""},
	"prompts":           {"name", ""},
	"resources":         {"", "uri"},
	"resourceTemplates": {"", "uriTemplate"},
}

// Merge makes one page of the servers' pages: items in the servers' declared
// order, each server's own order kept, with the names that clients see; of items
// that would then be called alike the first stays. nextCursor is set where any
// server has more. Pages are given in the servers' order. Of what shown says no
// to nothing is left; nil shows all.
func (n Names) Merge(list string, pages []Page, shown func(list, server, own string) bool) (jsontext.Value, error) {
	seen := map[string]bool{}
	next := Cursor{}
	items := jsontext.Value{'['}
	for _, p := range pages {
		if c, ok := jsonrpc.Text(jsonrpc.Get(p.Result, "nextCursor")); ok && c != "" {
			next[p.Server] = c
		}
		array := jsonrpc.Get(p.Result, list)
		if array == nil {
			continue
		}
		err := jsonrpc.Elements(array, func(item jsontext.Value) error {
			own, _ := jsonrpc.Text(jsonrpc.Get(item, naming[list][0]+naming[list][1]))
			if own == "" || shown != nil && !shown(list, p.Server, own) {
				return nil
			}
			item, key := n.outward(list, p.Server, own, item)
			if seen[key] {
				return nil
			}
			seen[key] = true
			if len(items) > 1 {
				items = append(items, ',')
			}
			items = append(items, item...)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading %s of server %q: %w", list, p.Server, err)
		}
	}
	result := append(jsontext.Value(`{"`+list+`":`), append(items, ']')...)
	if len(next) > 0 {
		cursor, err := next.Encode()
		if err != nil {
			return nil, err
		}
		result = append(append(result, `,"nextCursor":`...), jsonrpc.Quote(cursor)...)
	}
	return append(result, '}'), nil
}

// Sift is a server's answer to a list method without the items that shown says
// no to; everything else stays as it is. An item without a name is left out.
func Sift(list string, result jsontext.Value, shown func(own string) bool) (jsontext.Value, error) {
	array := jsonrpc.Get(result, list)
	if array == nil {
		return result, nil
	}
	items := jsontext.Value{'['}
	err := jsonrpc.Elements(array, func(item jsontext.Value) error {
		own, _ := jsonrpc.Text(jsonrpc.Get(item, naming[list][0]+naming[list][1]))
		if own == "" || !shown(own) {
			return nil
		}
		if len(items) > 1 {
			items = append(items, ',')
		}
		items = append(items, item...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", list, err)
	}
	return jsonrpc.Set(result, list, append(items, ']')), nil
}

// outward gives an item its outer name; key is that name.
func (n Names) outward(list, server, own string, item jsontext.Value) (out jsontext.Value, key string) {
	by := naming[list]
	member := by[0] + by[1]
	if key = n.Outer(server, own); by[1] != "" {
		key = n.OuterURI(server, own)
	}
	if key != own {
		item = jsonrpc.Set(item, member, jsonrpc.Quote(key))
	}
	if list == "tools" && n.prefixed {
		item = n.outwardUI(server, item)
	}
	return item, key
}

// outwardUI gives the resource that a tool names as its user interface
// (_meta.ui.resourceUri) its outer URI.
func (n Names) outwardUI(server string, item jsontext.Value) jsontext.Value {
	if jsonrpc.Get(item, "_meta", "ui", "resourceUri") == nil {
		return item
	}
	return jsonrpc.EditMember(item, "_meta", func(meta jsontext.Value) jsontext.Value {
		return jsonrpc.EditMember(meta, "ui", func(ui jsontext.Value) jsontext.Value {
			return n.uriMember(server, ui, "resourceUri")
		})
	})
}

func (n Names) uriMember(server string, object jsontext.Value, member string) jsontext.Value {
	return jsonrpc.EditMember(object, member, func(v jsontext.Value) jsontext.Value {
		uri, ok := jsonrpc.Text(v)
		if !ok {
			return v
		}
		return jsonrpc.Quote(n.OuterURI(server, uri))
	})
}

// Cursor is where each server that has more goes on.
type Cursor map[string]string

// maxCursor bounds a cursor's text in bytes.
const maxCursor = 16 << 10

// Encode is the cursor as text without meaning to clients; equal cursors have
// equal texts.
func (c Cursor) Encode() (string, error) {
	data, err := json.Marshal(c) // keys sorted
	if err != nil {
		return "", fmt.Errorf("writing a cursor: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString(data)
	if len(text) > maxCursor {
		return "", fmt.Errorf("writing a cursor: the servers' cursors are longer than %d bytes together", maxCursor)
	}
	return text, nil
}

// DecodeCursor reads what Encode wrote. Servers that are no longer there are
// left out.
func (n Names) DecodeCursor(text string) (Cursor, error) {
	if len(text) > maxCursor {
		return nil, fmt.Errorf("reading a cursor: longer than %d bytes", maxCursor)
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("reading a cursor: %w", err)
	}
	var all, known Cursor = nil, Cursor{}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("reading a cursor: %w", err)
	}
	for _, s := range n.servers {
		if c, ok := all[s]; ok && c != "" {
			known[s] = c
		}
	}
	return known, nil
}
