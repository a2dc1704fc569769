package translate

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/expr"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// policyState is an AgentgatewayPolicy as read.
type policyState struct {
	policy  table.Policy
	needs   []node
	targets []policyTarget
	// auth is a credential for the backends that are targeted.
	auth *agentgateway.BackendAuth
	// faults close what is targeted if closes, and else leave the policy out;
	// partial are fields left out that restrict nothing.
	faults, partial []fault
	closes          bool
}

// policyTarget is one object that is targeted.
type policyTarget struct {
	key     objects.Key
	section string
	// missing says that it is not there, or has no such section.
	missing string
}

// harmless are fields of a policy that restrict nothing: without them less is
// done, and nothing more is let through.
var harmless = []string{
	"traffic.cors", "traffic.hostRewrite", "traffic.timeouts", "traffic.retry", "traffic.delay",
	"frontend.accessLog", "frontend.tracing", "frontend.metrics", "frontend.tcp",
	"backend.health", "backend.tcp", "backend.http", "backend.ai.modelAliases", "backend.ai.routes",
	"backend.ai.promptCaching", "backend.auth", "targetRefs.port", "targetSelectors.port",
}

// builtPolicy are the fields of an AgentgatewayPolicy that are built. Of
// backend.ai none is, and each is judged by itself.
var builtPolicy = built(slices.Concat(
	[]string{"targetRefs.group", "targetRefs.kind", "targetRefs.name", "targetRefs.sectionName",
		"targetSelectors.group", "targetSelectors.kind", "targetSelectors.matchLabels", "targetSelectors.sectionName",
		"traffic.phase", "traffic.authorization", "strategy.inheritance", "backend.ai.-",
		"traffic.apiKeyAuthentication.mode", "traffic.apiKeyAuthentication.secretSelector",
		"traffic.apiKeyAuthentication.location.header", "traffic.apiKeyAuthentication.location.queryParameter",
		"traffic.apiKeyAuthentication.location.cookie"},
	under("traffic.apiKeyAuthentication.secretRef", []string{"name", "group", "kind"}),
	under("backend.auth", authFields),
)...)

func policyNode(s *schema, r ref) node {
	name := r.Key.String()
	if r.cluster != s.options.Cluster {
		name = r.cluster + "/" + name
	}
	return node{view: r.cluster, key: r.Key, id: table.ID{Kind: table.KindPolicy, Name: name}}
}

func (s *schema) derivePolicy(l *derive.Look, r ref) *policyState {
	o, p, ok := get[*agentgateway.AgentgatewayPolicy](s, l, r)
	if !ok {
		return &policyState{}
	}
	st := &policyState{policy: table.Policy{Name: policyNode(s, r).id.Name, Created: unix(o.Created)}}
	st.faults = invalid(o)
	st.closes = len(st.faults) > 0
	s.findTargets(l, r, p, st)
	st.refuseUnbuilt(o, p)
	if c, is := refused(s.verdict(l, r)); is {
		st.closes = true
		st.faults = append(st.faults, fault{reason: c.reason, message: c.message})
	}
	if t := p.Spec.Traffic; t != nil {
		st.authorize(t.Authorization)
		s.authenticate(l, r, t.APIKeyAuthentication, st)
	}
	if b := p.Spec.Backend; b != nil {
		st.auth = b.Auth
	}
	if f := oversize(&st.policy); f != nil {
		st.closing(f.field, f.reason, f.message, f.remedy)
	}
	if st.closes {
		st.policy.Closed = v1alpha1.ReasonPolicyInvalid + ": " + r.Key.String() + ": " + join(st.faults)
		st.policy.Authorization, st.policy.APIKey, st.needs = nil, nil, nil
	}
	return st
}

// closing notes what cannot be enforced, so that what is targeted is closed.
func (st *policyState) closing(field, reason, message, remedy string) {
	st.faults = append(st.faults, fault{field, reason, message, remedy})
	st.closes = true
}

func (st *policyState) refuseUnbuilt(o *objects.Object, p *agentgateway.AgentgatewayPolicy) {
	for _, path := range unbuilt(o, builtPolicy) {
		f := notBuilt(path)
		if suffixed(path, harmless) {
			st.partial = append(st.partial, f)
			continue
		}
		st.closing(f.field, f.reason, f.message, f.remedy)
	}
	if t := p.Spec.Traffic; t != nil {
		st.unbuiltValue("spec.traffic.phase", t.Phase, agentgateway.PhasePostRouting, agentgateway.PhasePreRouting)
	}
	if s := p.Spec.Strategy; s != nil {
		st.unbuiltValue("spec.strategy.inheritance", s.Inheritance, agentgateway.InheritanceDefault, agentgateway.InheritanceOverride)
	}
	if b := p.Spec.Backend; b != nil && b.Auth != nil && credentials(b.Auth) > 1 {
		st.faults = append(st.faults, fault{"spec.backend.auth", "Invalid", "names several kinds of credential", "keep one of them"})
	}
	for _, t := range st.targets {
		switch onBackend := t.key.Kind == kindBackend; {
		case p.Spec.Traffic != nil && t.key.Kind != kindGateway && t.key.Kind != kindRoute:
			st.closing("spec.traffic", v1alpha1.ReasonUnsupportedField, "does not go with a target of kind "+t.key.Kind, "target a Gateway or an HTTPRoute")
			return
		case p.Spec.Backend != nil && p.Spec.Backend.Auth != nil && !onBackend:
			st.faults = append(st.faults, fault{"spec.backend.auth", v1alpha1.ReasonUnsupportedField, "is not built yet for a target of kind " + t.key.Kind, "target an AgentgatewayBackend"})
			return
		}
	}
}

// unbuiltValue closes where a field is not what is built: later is a value that
// there is and that is not built yet.
func (st *policyState) unbuiltValue(field, value, ours, later string) {
	switch value {
	case "", ours:
	case later:
		st.closing(field, v1alpha1.ReasonUnsupportedField, later+" is not built yet", "remove it")
	default:
		st.closing(field, "Invalid", fmt.Sprintf("%q is not among the values", value), "use "+ours+", or remove it")
	}
}

func (st *policyState) authorize(a *agentgateway.Authorization) {
	if a == nil {
		return
	}
	out := &table.Authorization{Action: table.Action(a.Action)}
	if out.Action == "" {
		out.Action = table.Allow
	}
	if !slices.Contains([]table.Action{table.Allow, table.Deny, table.Require}, out.Action) {
		st.closing("spec.traffic.authorization.action", "Invalid", fmt.Sprintf("there is no action %q", a.Action), "use Allow, Deny or Require")
	}
	if len(a.Policy.MatchExpressions) == 0 {
		st.closing("spec.traffic.authorization.policy.matchExpressions", "Invalid", "is empty", "add an expression")
	}
	for i, e := range a.Policy.MatchExpressions {
		if _, err := expr.Compile(string(e)); err != nil {
			st.closing(fmt.Sprintf("spec.traffic.authorization.policy.matchExpressions[%d]", i), "Invalid", err.Error(), "correct it")
		}
		out.Expressions = append(out.Expressions, string(e))
	}
	st.policy.Authorization = out
}

func (s *schema) authenticate(l *derive.Look, r ref, a *agentgateway.APIKeyAuthentication, st *policyState) {
	if a == nil {
		return
	}
	const path = "spec.traffic.apiKeyAuthentication"
	out := &table.APIKey{Mode: table.KeyMode(a.Mode)}
	if out.Mode == "" {
		out.Mode = table.Strict
	}
	if !slices.Contains([]table.KeyMode{table.Strict, table.Optional, table.Permissive}, out.Mode) {
		st.closing(path+".mode", "Invalid", fmt.Sprintf("there is no mode %q", a.Mode), "use Strict, Optional or Permissive")
	}
	if i := a.Location; i != nil {
		if where := insertAt(&agentgateway.InsertLocation{Header: i.Header, QueryParameter: i.QueryParameter, Cookie: i.Cookie}); where != nil {
			out.Location = *where
		}
	}
	if (a.SecretRef == nil) == (a.SecretSelector == nil) {
		st.closing(path, "Invalid", "needs exactly one of secretRef and secretSelector", "set one of them")
	}
	if a.SecretSelector != nil && len(a.SecretSelector.MatchLabels) == 0 {
		st.closing(path+".secretSelector.matchLabels", "Invalid", "is empty, which would make every Secret of the namespace a client's key", "name a label of the clients' Secrets")
		return
	}
	if r.cluster != s.options.Cluster {
		st.closing(path, v1alpha1.ReasonSecretNotSealed, "its keys stay in cluster "+r.cluster, "place the Gateway without it")
		return
	}
	var keys []objects.Key
	switch {
	case a.SecretRef != nil:
		key, f := secretKey(r, *a.SecretRef)
		if f != nil {
			st.closing(path+".secretRef", f.reason, f.message, f.remedy)
		} else if _, _, ok := get[*corev1.Secret](s, l, ref{r.cluster, key}); !ok {
			st.closing(path+".secretRef", v1alpha1.ReasonSecretNotFound, key.String()+" is not found", "declare it with the clients' keys")
		}
		keys = append(keys, key)
	case a.SecretSelector != nil:
		for _, x := range s.selected(l, kindAt{r.cluster, kindSecret, r.Namespace, ""}, a.SecretSelector.MatchLabels) {
			keys = append(keys, x.Key)
		}
	}
	for _, k := range keys {
		n := secretNode(useKeys, k, "")
		out.Secrets, st.needs = append(out.Secrets, n.id.Name), append(st.needs, n)
	}
	st.policy.APIKey = out
}
