package translate

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// declaration is what an AgentgatewayBackend says by itself, in any cluster.
type declaration struct {
	exists bool
	kind   table.BackendKind
	// fleet: namesakes in other clusters are the same backend.
	fleet  bool
	region string
	groups [][]declaredMember
	mcp    *table.MCP
	// faults close the whole backend; partial ones close a member, or leave out
	// what does not restrict.
	faults, partial []fault
	// restrictions are what it restricts as a whole, for comparison between clusters.
	restrictions string
}

// declaredMember is one provider, server or host.
type declaredMember struct {
	member table.Member
	// where it is written, for messages.
	path string
	host string
	port int
	// service is set where the member names a Service itself.
	service *objects.Key
	// tls is set where TLS is to be used, by default or by declaration.
	tls            *agentgateway.BackendTLS
	tlsDeclared    bool
	httpVersion    string // as declared
	requestTimeout table.Duration
	connectTimeout table.Duration
	auth           *agentgateway.BackendAuth
	authPath       string // of auth
	aliased        bool
	// ambient: without a credential the provider's own chain is used.
	ambient bool
	// chatPath is a custom provider's path for conversations.
	chatPath string
	// kind is the provider as declared: openai, azureopenai, …
	kind string
	// restrictions are what is restricted for this member alone.
	restrictions string
	// faults close it; partial ones leave it serving.
	faults, partial []fault
}

func (m *declaredMember) refuse(path, message, remedy string) {
	m.faults = append(m.faults, fault{path, "Invalid", message, remedy})
}

func (m *declaredMember) unbuilt(path, message, remedy string) {
	m.faults = append(m.faults, fault{path, v1alpha1.ReasonUnsupportedField, message, remedy})
}

func (s *schema) deriveDeclaration(l *derive.Look, r ref) *declaration {
	o, b, ok := get[*agentgateway.AgentgatewayBackend](s, l, r)
	if !ok {
		return &declaration{}
	}
	return declare(o, b)
}

// declare reads a backend. It looks nothing up.
func declare(o *objects.Object, b *agentgateway.AgentgatewayBackend) *declaration {
	d := &declaration{exists: true, region: o.Annotations[v1alpha1.AnnotationRegion], faults: invalid(o)}
	kinds := 0
	for _, set := range []bool{b.Spec.AI != nil, b.Spec.MCP != nil, b.Spec.Static != nil, b.Spec.DynamicForwardProxy != nil, b.Spec.AWS != nil, b.Spec.A2A != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		d.fault("spec", "holds "+strconv.Itoa(kinds)+" kinds of destination", "set exactly one of ai, mcp and static")
	}
	policies := b.Spec.Policies
	if policies == nil {
		policies = &agentgateway.BackendPolicies{}
	}
	switch {
	case b.Spec.AI != nil:
		d.kind = table.BackendAI
		d.declareAI(b.Spec.AI, policies)
	case b.Spec.MCP != nil:
		d.kind = table.BackendMCP
		d.declareMCP(b.Spec.MCP, policies)
	case b.Spec.Static != nil:
		d.kind = table.BackendHTTP
		d.declareStatic(b.Spec.Static, policies)
	default:
		d.kind = table.BackendHTTP
	}
	d.scope(o.Annotations[v1alpha1.AnnotationScope])
	d.refuseUnbuilt(o)
	d.restrict(o)
	d.closeIfNothingServes()
	return d
}

func (d *declaration) fault(field, message, remedy string) {
	d.faults = append(d.faults, fault{field, "Invalid", message, remedy})
}

func (d *declaration) scope(annotation string) {
	switch annotation {
	case "":
		d.fleet = d.kind == table.BackendAI
	case v1alpha1.ScopeFleet:
		d.fleet = true
	case v1alpha1.ScopeCluster:
	default:
		d.fault("metadata.annotations["+v1alpha1.AnnotationScope+"]", fmt.Sprintf("%q is no scope", annotation), "use Fleet or Cluster")
	}
}

// soft are fields that restrict nothing: a backend with one of them unbuilt
// serves without it, and says so.
var soft = []string{"policies.health", "policies.tcp.keepalive", "policies.ai.promptCaching"}

var memberPath = regexp.MustCompile(`^spec\.(?:ai\.groups\[(\d+)\]\.providers\[(\d+)\]|(ai\.provider)|mcp\.targets\[(\d+)\])(?:\.|$)`)

// refuseUnbuilt goes over every field that is set and not built. What is soft
// is left out; what belongs to one member closes that; all else the backend.
func (d *declaration) refuseUnbuilt(o *objects.Object) {
	for _, path := range unbuilt(o, builtBackend) {
		f := notBuilt(path)
		switch m := d.memberAt(path); {
		case suffixed(path, soft):
			d.partial = append(d.partial, f)
		case m != nil:
			m.faults = append(m.faults, f)
		default:
			d.faults = append(d.faults, f)
		}
	}
}

// memberAt finds the member that a path lies in.
func (d *declaration) memberAt(path string) *declaredMember {
	m := memberPath.FindStringSubmatch(path)
	if m == nil {
		return nil
	}
	group, member := 0, 0
	switch {
	case m[1] != "":
		group, _ = strconv.Atoi(m[1])
		member, _ = strconv.Atoi(m[2])
	case m[4] != "":
		member, _ = strconv.Atoi(m[4])
	}
	if group >= len(d.groups) || member >= len(d.groups[group]) {
		return nil
	}
	return &d.groups[group][member]
}

// closeIfNothingServes makes the faults of the members those of the backend
// where no member is left.
func (d *declaration) closeIfNothingServes() {
	var all []fault
	left := false
	for _, g := range d.groups {
		for _, m := range g {
			all = appendNew(all, m.faults)
			d.partial = appendNew(d.partial, m.partial)
			left = left || len(m.faults) == 0
		}
	}
	if left {
		d.partial = append(d.partial, all...)
	} else {
		d.faults = append(d.faults, all...)
	}
}

// appendNew appends the faults that are not in the list yet: what stands in the
// backend's policies is found once for each member.
func appendNew(list, more []fault) []fault {
	for _, f := range more {
		if !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

// closed says why the whole backend is closed, "" where it serves.
func (d *declaration) closed() string {
	if len(d.faults) == 0 {
		return ""
	}
	return d.faults[0].reason + ": " + join(d.faults)
}

func (d *declaration) member(group int, name string) *declaredMember {
	if group >= len(d.groups) {
		return nil
	}
	for i := range d.groups[group] {
		if d.groups[group][i].member.Name == name {
			return &d.groups[group][i]
		}
	}
	return nil
}

// restricting are the fields that restrict what a backend does for a caller.
var restricting = []string{"promptGuard", "mcp.authorization", "mcp.authentication", "mcp.guardrails", "extAuth"}

// restrict notes what the declaration restricts, as a whole and by member.
func (d *declaration) restrict(o *objects.Object) {
	for path, text := range restrictions(o.JSON) {
		if m := d.memberAt(path); m != nil {
			m.restrictions += text
		} else {
			d.restrictions += text
		}
	}
}

// restrictions finds what a spec restricts: paths, in order, and the canonical
// text of what stands there with its name.
func restrictions(object []byte) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		var o struct {
			Spec map[string]any `json:"spec"`
		}
		if err := json.Unmarshal(object, &o); err == nil {
			collect(o.Spec, "spec", yield)
		}
	}
}

func collect(v any, path string, yield func(string, string) bool) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			at := path + "." + k
			if i := slices.IndexFunc(restricting, func(end string) bool { return strings.HasSuffix(at, "."+end) }); i >= 0 {
				text, err := json.Marshal(v[k])
				if err != nil || !yield(at, restricting[i]+string(text)+"\n") {
					return false
				}
				continue
			}
			if !collect(v[k], at, yield) {
				return false
			}
		}
	case []any:
		for i, x := range v {
			if !collect(x, path+"["+strconv.Itoa(i)+"]", yield) {
				return false
			}
		}
	}
	return true
}
