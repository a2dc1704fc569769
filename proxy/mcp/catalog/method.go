package catalog

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/proxy/mcp/jsonrpc"
)

// Reach is whom a method is for.
type Reach uint8

// One server that the params name; every server, the answers merged; every
// server, the first good answer taken; the gateway itself.
const (
	One Reach = iota
	Merged
	First
	Gateway
)

// Subject is what the params of a method name.
type Subject uint8

// The subjects.
const (
	Nothing Subject = iota
	ByName          // params.name
	ByURI           // params.uri
	ByRef           // params.ref, a prompt's name or a resource's URI
)

// Method is what the gateway knows of a client's method.
type Method struct {
	Reach   Reach
	Subject Subject
	// List is the member of the result that holds the list, for Merged.
	List string
	// Type is tool, prompt or resource for records, "" for none.
	Type string
	// Safe methods may be sent again although they may have been carried out.
	Safe bool
}

var methods = map[string]Method{
	"initialize":               {Reach: Gateway, Safe: true},
	"ping":                     {Reach: First, Safe: true},
	"logging/setLevel":         {Reach: First, Safe: true},
	"tools/list":               {Reach: Merged, List: "tools", Type: "tool", Safe: true},
	"tools/call":               {Reach: One, Subject: ByName, Type: "tool"},
	"prompts/list":             {Reach: Merged, List: "prompts", Type: "prompt", Safe: true},
	"prompts/get":              {Reach: One, Subject: ByName, Type: "prompt", Safe: true},
	"resources/list":           {Reach: Merged, List: "resources", Type: "resource", Safe: true},
	"resources/templates/list": {Reach: Merged, List: "resourceTemplates", Type: "resource", Safe: true},
	"resources/read":           {Reach: One, Subject: ByURI, Type: "resource", Safe: true},
	"resources/subscribe":      {Reach: One, Subject: ByURI, Type: "resource", Safe: true},
	"resources/unsubscribe":    {Reach: One, Subject: ByURI, Type: "resource", Safe: true},
	"completion/complete":      {Reach: One, Subject: ByRef, Safe: true},
}

// Lookup is what is known of a method.
func Lookup(method string) (Method, bool) {
	m, ok := methods[method]
	return m, ok
}

// routed are the members of params that decide whom a request goes to or what
// a policy sees of it.
var routed = []string{
	"name", "uri", "ref", "arguments", "level", "cursor", "_meta",
	"protocolVersion", "capabilities", "clientInfo", "requestId", "progressToken",
}

// CheckParams refuses params whose member differs only in case from one that
// decides something: a server that compares without case would take it instead.
func CheckParams(params jsontext.Value) error {
	if params == nil {
		return nil
	}
	return jsonrpc.Members(params, func(name string, _ jsontext.Value) error {
		if is := jsonrpc.Folded(name, routed...); is != "" {
			return fmt.Errorf("reading params: member %q differs from %q only in case", name, is)
		}
		return nil
	})
}

// Name is the tool, prompt or resource that the params name, as the client
// calls it; uri tells that it is a URI.
func (m Method) Name(params jsontext.Value) (name string, uri bool, err error) {
	at := []string{"name"}
	switch m.Subject {
	case ByURI:
		at, uri = []string{"uri"}, true
	case ByRef:
		kind, _ := jsonrpc.Text(jsonrpc.Get(params, "ref", "type"))
		switch kind {
		case "ref/prompt":
			at = []string{"ref", "name"}
		case "ref/resource":
			at, uri = []string{"ref", "uri"}, true
		default:
			return "", false, fmt.Errorf("reading params: ref.type %q is neither ref/prompt nor ref/resource", kind)
		}
	}
	name, ok := jsonrpc.Text(jsonrpc.Get(params, at...))
	if !ok || name == "" {
		return "", uri, fmt.Errorf("reading params: no %s", at[len(at)-1])
	}
	return name, uri, nil
}

// Rename puts the server's own name in place of the one that clients use.
func (m Method) Rename(params jsontext.Value, own string) jsontext.Value {
	value := jsonrpc.Quote(own)
	switch m.Subject {
	case ByName:
		return jsonrpc.Set(params, "name", value)
	case ByURI:
		return jsonrpc.Set(params, "uri", value)
	case ByRef:
		return jsonrpc.EditMember(params, "ref", func(ref jsontext.Value) jsontext.Value {
			if jsonrpc.Get(ref, "uri") != nil {
				return jsonrpc.Set(ref, "uri", value)
			}
			return jsonrpc.Set(ref, "name", value)
		})
	}
	return params
}

// Find is the server and its own name for what the params name.
func (n Names) Find(m Method, params jsontext.Value) (server, own string, err error) {
	name, uri, err := m.Name(params)
	if err != nil {
		return "", "", err
	}
	ok := false
	if uri {
		server, own, ok = n.InnerURI(name)
	} else {
		server, own, ok = n.Inner(name)
	}
	if !ok {
		return "", "", fmt.Errorf("finding the server of %q: no server by that prefix", name)
	}
	return server, own, nil
}
