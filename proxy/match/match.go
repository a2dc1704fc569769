// Package match decides which rule of the table a request belongs to, by the
// precedence that Gateway API prescribes, and what guards that rule. Its Index
// is an immutable value that follows the table change by change. It never
// looks at a body and never picks who serves the request.
package match

import (
	"strings"

	"github.com/benbjohnson/immutable"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/message"
)

// Index finds rules. It is immutable: Apply gives the next one and both share
// what did not change. Its cost per changed rule does not depend on how many
// rules there are, as long as few share one hostname and path.
type Index struct {
	table     table.Table
	resources *immutable.Map[table.ID, table.Resource]
	ports     *immutable.Map[uint16, *port]
	trees     *immutable.Map[string, *tree] // by listener
	routes    *immutable.Map[table.Target, []string]
	guarding
}

// Empty is the index of an empty table; no request matches anything in it.
func Empty() *Index {
	return &Index{
		table:     table.New(),
		resources: immutable.NewMap[table.ID, table.Resource](ids{}),
		ports:     immutable.NewMap[uint16, *port](numbers{}),
		trees:     immutable.NewMap[string, *tree](texts{}),
		routes:    immutable.NewMap[table.Target, []string](targets{}),
		guarding:  noGuards(),
	}
}

// Table is what the index was built from.
func (x *Index) Table() table.Table { return x.table }

// Find returns a resource of the table in constant time, or nil.
func (x *Index) Find(id table.ID) table.Resource {
	r, _ := x.resources.Get(id)
	return r
}

// Backend returns the backend of that name, or nil.
func (x *Index) Backend(name string) *table.Backend {
	b, _ := x.Find(table.ID{Kind: table.KindBackend, Name: name}).(*table.Backend)
	return b
}

// Facts are what a request is matched by. Host is the authority as the client
// sent it, port included; Path and Query are raw.
type Facts struct {
	Port       uint16
	Secure     bool
	ServerName string
	Host       string
	Method     string
	Path       string
	Query      string
	Header     *message.Header
}

// Result is where a request belongs. Without Listener nothing listens for its
// host; without Rule no rule matches.
type Result struct {
	Listener *table.Listener
	Rule     *Rule
	// Prefix is the value of the path match, "" where that was no prefix.
	Prefix string
	Guard  *Guard
	// Misdirected is set where the TLS handshake named a host of another listener.
	Misdirected bool
}

// Match finds the rule for a request: the most specific listener of the port,
// and in it, by hostname, path, method, headers, query, age and name.
func (x *Index) Match(f *Facts) Result {
	var r Result
	p, ok := x.ports.Get(f.Port)
	if !ok {
		return r
	}
	host := Host(f.Host)
	if r.Listener = p.listener(host); r.Listener == nil {
		return r
	}
	if f.Secure && f.ServerName != "" && p.listener(Host(f.ServerName)) != r.Listener {
		r.Misdirected = true
		return r
	}
	t, ok := x.trees.Get(r.Listener.Name)
	if !ok {
		return r
	}
	if e := t.find(host, f); e != nil {
		r.Rule, r.Prefix = e.rule, e.prefix
		r.Guard = x.guard(r.Listener.Name, e.rule.Name)
	}
	return r
}

// Host is the host of an authority in the form that hostnames are compared in:
// without port and final dot, in lower case.
func Host(authority string) string {
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		authority = authority[:i]
	}
	authority = strings.TrimSuffix(authority, ".")
	return strings.ToLower(authority)
}

// port are the listeners of one port by hostname; a wildcard's key is what
// follows its asterisk, so that both are found by slicing the request's host.
type port struct {
	hosts *immutable.Map[string, []*table.Listener]
}

func (p *port) listener(host string) *table.Listener {
	if host != "" {
		if l, ok := p.hosts.Get(host); ok {
			return l[0]
		}
		for i := 0; i < len(host); i++ {
			if host[i] != '.' {
				continue
			}
			if l, ok := p.hosts.Get(host[i:]); ok {
				return l[0]
			}
		}
	}
	if l, ok := p.hosts.Get(""); ok {
		return l[0]
	}
	return nil
}

func hostKey(hostname string) string {
	return strings.ToLower(strings.TrimPrefix(hostname, "*"))
}

// Listener is the most specific listener of a port for a server name, or nil:
// whose certificate a handshake is answered with.
func (x *Index) Listener(port uint16, serverName string) *table.Listener {
	p, ok := x.ports.Get(port)
	if !ok {
		return nil
	}
	return p.listener(Host(serverName))
}
