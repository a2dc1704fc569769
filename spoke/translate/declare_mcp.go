package translate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
)

// serviceKey is a Service of the backend's own namespace, which is filled in
// where the namespace is known.
func serviceKey(name string) *objects.Key { return &objects.Key{Kind: kindService, Name: name} }

func (d *declaration) declareMCP(mcp *agentgateway.MCPBackend, policies *agentgateway.BackendPolicies) {
	d.mcp = &table.MCP{Prefix: agentgateway.PrefixConditional}
	if mcp.PrefixMode != "" {
		d.mcp.Prefix = mcp.PrefixMode
		d.oneOf("spec.mcp.prefixMode", mcp.PrefixMode, agentgateway.PrefixAlways, agentgateway.PrefixConditional, agentgateway.PrefixNever)
	}
	d.oneOf("spec.mcp.sessionRouting", mcp.SessionRouting, "", agentgateway.SessionStateful, agentgateway.SessionStateless)
	d.oneOf("spec.mcp.failureMode", string(mcp.FailureMode), "", string(agentgateway.FailClosed), string(agentgateway.FailOpen))
	d.mcp.Stateless = mcp.SessionRouting == agentgateway.SessionStateless
	d.mcp.FailOpen = mcp.FailureMode == agentgateway.FailOpen
	if len(mcp.Targets) == 0 {
		d.fault("spec.mcp.targets", "is empty", "name a target")
	}
	var members []declaredMember
	for i := range mcp.Targets {
		t := &mcp.Targets[i]
		path := fmt.Sprintf("spec.mcp.targets[%d]", i)
		if t.Name == "" || slices.ContainsFunc(members, func(m declaredMember) bool { return m.member.Name == string(t.Name) }) {
			d.fault(path+".name", fmt.Sprintf("target name %q is missing or used twice", t.Name), "give each target its own name")
		}
		members = append(members, declareTarget(t, path, policies))
	}
	d.groups = [][]declaredMember{members}
}

func (d *declaration) oneOf(field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		d.fault(field, fmt.Sprintf("%q is not among the values", value), "use one of "+strings.TrimPrefix(strings.Join(allowed, ", "), ", "))
	}
}

func declareTarget(t *agentgateway.MCPTarget, path string, policies *agentgateway.BackendPolicies) declaredMember {
	m := declaredMember{member: table.Member{Name: string(t.Name), Server: &table.Server{Path: "/mcp"}}, path: path, kind: "mcp"}
	if t.Static == nil {
		if t.Selector == nil {
			m.refuse(path, "has no static server", "set static")
		}
		return m
	}
	st := t.Static
	switch st.Protocol {
	case "", agentgateway.ProtocolStreamableHTTP:
	case agentgateway.ProtocolSSE:
		m.member.Server = &table.Server{SSE: true, Path: "/sse"}
	default:
		m.refuse(path+".static.protocol", fmt.Sprintf("%q is no transport", st.Protocol), "use StreamableHTTP or SSE")
	}
	if st.Path != "" {
		m.member.Server.Path = st.Path
		if !strings.HasPrefix(st.Path, "/") {
			m.refuse(path+".static.path", fmt.Sprintf("%q does not begin with a slash", st.Path), "correct it")
		}
	}
	m.host, m.port = strings.ToLower(strings.TrimSuffix(string(st.Host), ".")), int(st.Port)
	if st.BackendRef != nil {
		m.service = serviceKey(st.BackendRef.Name)
	}
	if (m.host == "") == (m.service == nil) {
		m.refuse(path+".static", "needs exactly one of host and backendRef", "set one of them")
	}
	if st.Port < 1 || st.Port > 65535 {
		m.refuse(path+".static.port", fmt.Sprintf("%d is no port", st.Port), "set one")
	}
	if p := st.Policies; p != nil {
		m.apply(&p.Connection, nil, p.Auth, path+".static.policies")
	}
	m.apply(&policies.Connection, nil, policies.Auth, "spec.policies")
	return m
}

func (d *declaration) declareStatic(st *agentgateway.StaticBackend, policies *agentgateway.BackendPolicies) {
	m := declaredMember{member: table.Member{Name: "static"}, path: "spec.static", kind: "static"}
	m.host, m.port = strings.ToLower(strings.TrimSuffix(string(st.Host), ".")), int(st.Port)
	if st.UnixPath == "" && (m.host == "" || m.port < 1 || m.port > 65535) {
		d.fault("spec.static", "needs a host and a port", "set both")
	}
	m.apply(&policies.Connection, nil, policies.Auth, "spec.policies")
	d.groups = [][]declaredMember{{m}}
}
