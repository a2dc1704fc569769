package translate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	"backend.ai.promptCaching", "backend.auth",
}

// builtPolicy are the fields of an AgentgatewayPolicy that are built.
var builtPolicy = built(slices.Concat(
	[]string{"targetRefs.group", "targetRefs.kind", "targetRefs.name", "targetRefs.sectionName",
		"targetSelectors.group", "targetSelectors.kind", "targetSelectors.matchLabels", "targetSelectors.sectionName",
		"traffic.phase", "traffic.authorization", "strategy.inheritance",
		"traffic.apiKeyAuthentication.mode", "traffic.apiKeyAuthentication.secretSelector",
		"traffic.apiKeyAuthentication.location.header", "traffic.apiKeyAuthentication.location.queryParameter",
		"traffic.apiKeyAuthentication.location.cookie"},
	under("traffic.apiKeyAuthentication.secretRef", []string{"name", "group", "kind"}),
	under("backend.auth", authFields),
)...)

// policyTargets indexes the policies that name their targets.
func policyTargets(r ref, o *objects.Object) []target {
	add := func(out []target, group, kind, name string) []target {
		t := target{r.Kind, ref{r.cluster, objects.Key{Group: group, Kind: kind, Namespace: r.Namespace, Name: name}}}
		if contains(out, t) {
			return out
		}
		return append(out, t)
	}
	var out []target
	switch p := o.Value.(type) {
	case *agentgateway.AgentgatewayPolicy:
		for _, t := range p.Spec.TargetRefs {
			out = add(out, t.Group, t.Kind, t.Name)
		}
	case *v1alpha1.FailoverPolicy:
		for _, t := range p.Spec.TargetRefs {
			out = add(out, t.Group, t.Kind, string(t.Name))
		}
	default:
		for _, t := range tlsPolicyTargets(o) {
			out = add(out, string(t.Group), string(t.Kind), string(t.Name))
		}
	}
	return out
}

// policySelectors indexes the policies that select their targets, by the first
// of the labels.
func policySelectors(r ref, o *objects.Object) []kindAt {
	p, ok := o.Value.(*agentgateway.AgentgatewayPolicy)
	if !ok {
		return nil
	}
	var out []kindAt
	for _, t := range p.Spec.TargetSelectors {
		pairs := labelPairs(t.MatchLabels)
		at := kindAt{r.cluster, t.Kind, r.Namespace, ""}
		if len(pairs) > 0 {
			at.label = pairs[0]
		}
		if !contains(out, at) {
			out = append(out, at)
		}
	}
	return out
}

func labelPairs(m map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return out
}

// policiesFor lists the AgentgatewayPolicies that target an object, and the
// FailoverPolicies that close it.
func (s *schema) policiesFor(l *derive.Look, r ref) []ref {
	out := slices.Clone(s.policiesOn.Get(l, target{kindPolicy, r}))
	o, ok := s.objects.Get(l, r)
	if ok {
		for _, label := range append([]string{""}, labelPairs(o.Labels)...) {
			for _, p := range s.selectors.Get(l, kindAt{r.cluster, r.Kind, r.Namespace, label}) {
				if s.selects(l, p, r, o.Labels) && !contains(out, p) {
					out = append(out, p)
				}
			}
		}
	}
	for _, p := range s.policiesOn.Get(l, target{kindFailover, r}) {
		if r.Kind == kindRoute && s.failovers.Get(l, p).closes {
			out = append(out, p)
		}
	}
	return out
}

func (s *schema) selects(l *derive.Look, policy, r ref, labels map[string]string) bool {
	_, p, ok := get[*agentgateway.AgentgatewayPolicy](s, l, policy)
	return ok && slices.ContainsFunc(p.Spec.TargetSelectors, func(t agentgateway.PolicyTargetSelector) bool {
		if t.Kind != r.Kind || t.Group != r.Group {
			return false
		}
		for k, v := range t.MatchLabels {
			if labels[k] != v {
				return false
			}
		}
		return true
	})
}

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
	for _, path := range unbuilt(o.JSON, builtPolicy) {
		f := notBuilt(path)
		if suffixed(path, harmless) {
			st.partial = append(st.partial, f)
			continue
		}
		st.closing(f.field, f.reason, f.message, f.remedy)
	}
	if t := p.Spec.Traffic; t != nil && t.Phase == agentgateway.PhasePreRouting {
		st.closing("spec.traffic.phase", v1alpha1.ReasonUnsupportedField, "PreRouting is not built yet", "remove it")
	}
	if st2 := p.Spec.Strategy; st2 != nil && st2.Inheritance == agentgateway.InheritanceOverride {
		st.closing("spec.strategy.inheritance", v1alpha1.ReasonUnsupportedField, "Override is not built yet", "remove it")
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

func (st *policyState) authorize(a *agentgateway.Authorization) {
	if a == nil {
		return
	}
	out := &table.Authorization{Action: table.Action(a.Action)}
	if out.Action == "" {
		out.Action = table.Allow
	}
	if !contains([]table.Action{table.Allow, table.Deny, table.Require}, out.Action) {
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
	if !contains([]table.KeyMode{table.Strict, table.Optional, table.Permissive}, out.Mode) {
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
	if r.cluster != s.options.Cluster {
		st.closing(path, v1alpha1.ReasonSecretNotSealed, "its keys stay in cluster "+r.cluster, "place the Gateway without it")
		return
	}
	var keys []objects.Key
	switch {
	case a.SecretRef != nil:
		key := objects.Key{Kind: kindSecret, Namespace: r.Namespace, Name: a.SecretRef.Name}
		if _, _, ok := get[*corev1.Secret](s, l, ref{r.cluster, key}); !ok || a.SecretRef.Group != "" || a.SecretRef.Kind != "" && a.SecretRef.Kind != kindSecret {
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

// selected lists the objects of a kind and namespace that carry all labels.
func (s *schema) selected(l *derive.Look, of kindAt, labels map[string]string) []ref {
	pairs := labelPairs(labels)
	if len(pairs) == 0 {
		return s.labelled.Get(l, of)
	}
	of.label = pairs[0]
	list := s.labelled.Get(l, of)
	for _, pair := range pairs[1:] {
		of.label = pair
		also := s.labelled.Get(l, of)
		list = slices.DeleteFunc(slices.Clone(list), func(r ref) bool { return !contains(also, r) })
	}
	return list
}

func (s *schema) findTargets(l *derive.Look, r ref, p *agentgateway.AgentgatewayPolicy, st *policyState) {
	if (len(p.Spec.TargetRefs) == 0) == (len(p.Spec.TargetSelectors) == 0) {
		st.faults = append(st.faults, fault{"spec", "Invalid", "needs exactly one of targetRefs and targetSelectors", "set one of them"})
	}
	for i, t := range p.Spec.TargetRefs {
		key := objects.Key{Group: t.Group, Kind: t.Kind, Namespace: r.Namespace, Name: t.Name}
		s.addTarget(l, r, key, t.PolicyTarget, fmt.Sprintf("spec.targetRefs[%d]", i), st)
	}
	for i, t := range p.Spec.TargetSelectors {
		for _, x := range s.selected(l, kindAt{r.cluster, t.Kind, r.Namespace, ""}, t.MatchLabels) {
			if x.Group == t.Group {
				s.addTarget(l, r, x.Key, t.PolicyTarget, fmt.Sprintf("spec.targetSelectors[%d]", i), st)
			}
		}
	}
}

func (s *schema) addTarget(l *derive.Look, r ref, key objects.Key, t agentgateway.PolicyTarget, path string, st *policyState) {
	x := policyTarget{key: key, section: string(t.SectionName)}
	switch {
	case !contains([]string{kindGateway, kindRoute, kindBackend, kindService}, key.Kind):
		st.faults = append(st.faults, fault{path + ".kind", v1alpha1.ReasonUnsupportedField, "a target of kind " + key.Kind + " is not built yet", "target a Gateway, HTTPRoute or AgentgatewayBackend"})
	default:
		x.missing = s.absent(l, ref{r.cluster, key}, x.section)
	}
	st.targets = append(st.targets, x)
	if x.missing == "" {
		st.policy.Targets = append(st.policy.Targets, table.Target{Kind: key.Kind, Namespace: key.Namespace, Name: key.Name, Section: x.section})
	}
}

// absent says what of a target is not there, "" for nothing.
func (s *schema) absent(l *derive.Look, r ref, section string) string {
	o, ok := s.objects.Get(l, r)
	if !ok {
		return r.Key.String() + " is not found"
	}
	if section == "" || slices.Contains(s.sections(l, r, o), section) {
		return ""
	}
	return fmt.Sprintf("%s has no part %q", r.Key, section)
}

func (s *schema) sections(l *derive.Look, r ref, o *objects.Object) []string {
	var out []string
	switch r.Kind {
	case kindGateway:
		for _, x := range s.gateways.Get(l, r).listeners {
			out = append(out, x.name)
		}
	case kindRoute:
		for _, x := range s.ruleSets.Get(l, r).rules {
			out = append(out, x.rule.Section)
		}
	case kindBackend:
		for _, g := range s.declared.Get(l, r).groups {
			for _, m := range g {
				out = append(out, m.member.Name)
			}
		}
	case kindService:
		if v, ok := o.Value.(*corev1.Service); ok {
			for _, p := range v.Spec.Ports {
				out = append(out, itoa(p.Port))
			}
		}
	}
	return out
}

// backendPolicies is what AgentgatewayPolicies do to one backend.
type backendPolicies struct {
	// closed closes all of it, sections one member each.
	closed   string
	sections map[string]string
	auths    []backendAuth
}

type backendAuth struct {
	section string
	owner   ref
	auth    *agentgateway.BackendAuth
}

// auth is the credential for a member: of a policy for it, then of one for the
// whole backend; the older first.
func (b backendPolicies) auth(member string, none ref) (*agentgateway.BackendAuth, ref) {
	for _, section := range []string{member, ""} {
		for _, a := range b.auths {
			if a.section == section {
				return a.auth, a.owner
			}
		}
	}
	return nil, none
}

func (s *schema) backendPolicies(l *derive.Look, r ref) backendPolicies {
	out := backendPolicies{sections: map[string]string{}}
	list := s.policiesFor(l, r)
	slices.SortFunc(list, func(a, b ref) int {
		return cmp.Or(cmp.Compare(s.policies.Get(l, a).policy.Created, s.policies.Get(l, b).policy.Created), compareRef(a, b))
	})
	for _, p := range list {
		st := s.policies.Get(l, p)
		for _, t := range st.targets {
			if t.key != r.Key || t.missing != "" && t.section == "" {
				continue
			}
			switch {
			case st.closes && t.section == "":
				out.closed = strings.TrimSpace(out.closed + " " + st.policy.Closed)
			case st.closes:
				out.sections[t.section] = st.policy.Closed
			case st.auth != nil && len(st.faults) == 0:
				out.auths = append(out.auths, backendAuth{t.section, p, st.auth})
			}
		}
	}
	return out
}
