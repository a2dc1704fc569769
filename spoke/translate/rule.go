package translate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// ruleSet is what a route says, apart from where it is attached.
type ruleSet struct {
	rules []ruleState
	// refused faults close every rule of the route, and so do unread ones, which
	// the reader has told of already; partial ones close a rule, or leave out what
	// does not restrict.
	refused, unread, partial []fault
	// dropped are the rules that are closed.
	dropped []string
	// unresolved are references that lead nowhere, idle those to a Service that
	// nobody is behind.
	unresolved, idle []fault
	resolved         condition
}

// ruleState is one rule without its binds, and the backends that it needs.
type ruleState struct {
	rule     table.Rule
	backends []backendTarget
	// unmatched: it declares matches, and none of them can be made.
	unmatched bool
}

// backendTarget is a backend, port for Services.
type backendTarget struct {
	key  objects.Key
	port int
}

// mostRetries bounds a rule's retries, as a FailoverPolicy's attempts are.
const mostRetries = 16

// builtRoute are the fields of an HTTPRoute that are built.
var builtRoute = built("parentRefs", "hostnames", "rules.name", "rules.matches", "rules.filters", "rules.backendRefs",
	"rules.timeouts", "rules.retry")

func (s *schema) deriveRules(l *derive.Look, r ref) *ruleSet {
	o, route, ok := get[*gwv1.HTTPRoute](s, l, r)
	set := &ruleSet{resolved: yes(v1alpha1.ConditionResolvedRefs, string(gwv1.RouteReasonResolvedRefs), "all references are resolved")}
	if !ok {
		return set
	}
	for i, h := range route.Spec.Hostnames {
		if !validHostname(strings.ToLower(string(h))) {
			set.refused = append(set.refused, unsupported(fmt.Sprintf("spec.hostnames[%d]", i), fmt.Sprintf("%q is no host name", h)))
		}
	}
	for _, path := range unbuilt(o, builtRoute) {
		set.partial = append(set.partial, notBuilt(path))
	}
	for i := range route.Spec.Rules {
		t := ruleTranslation{schema: s, look: l, route: r, set: set, spec: &route.Spec.Rules[i], path: fmt.Sprintf("spec.rules[%d]", i)}
		set.rules = append(set.rules, t.translate(i, o))
	}
	set.unread = invalid(o)
	if faults := slices.Concat(set.unread, set.refused); len(faults) > 0 {
		set.closeAll("UnsupportedValue: " + join(faults))
	} else if len(set.dropped) == len(set.rules) && len(set.rules) > 0 {
		set.refused, set.partial = set.partial, nil
	}
	if len(set.unresolved) > 0 {
		set.resolved = no(v1alpha1.ConditionResolvedRefs, set.unresolved[0].reason, join(set.unresolved))
	} else if len(set.idle) > 0 {
		set.resolved.message = join(set.idle)
	}
	return set
}

// rejected tells whether the route is not accepted: all its rules answer 500.
func (set *ruleSet) rejected() bool { return len(set.refused)+len(set.unread) > 0 }

// closeAll closes every rule: a route that is not taken as it stands answers
// 500, so that what it is for does not fall to a route that restricts it less.
func (set *ruleSet) closeAll(why string) {
	for i := range set.rules {
		x := &set.rules[i]
		x.rule, x.backends = closedRule(x.rule, why), nil
	}
}

// partialMessage says what is not in force, as Gateway API words it where a
// rule was dropped.
func (set *ruleSet) partialMessage(partial []fault) string {
	message := join(partial)
	if len(set.dropped) > 0 {
		message = "Dropped Rule " + strings.Join(set.dropped, ", ") + " (answers 500): " + message
	}
	return message
}

// rest notes that nobody is behind a Service, once for each.
func (set *ruleSet) rest(f fault) {
	if !slices.ContainsFunc(set.idle, func(o fault) bool { return o.message == f.message }) {
		set.idle = append(set.idle, f)
	}
}

func unsupported(field, message string) fault {
	return fault{field: field, reason: string(gwv1.RouteReasonUnsupportedValue), message: message, remedy: "correct it"}
}

// ruleTranslation is the translation of one rule under way.
type ruleTranslation struct {
	*schema
	look  *derive.Look
	route ref
	set   *ruleSet
	spec  *gwv1.HTTPRouteRule
	path  string
	out   ruleState
	// bad are the faults that close the rule.
	bad []fault
}

func (t *ruleTranslation) translate(i int, o *objects.Object) ruleState {
	t.out.rule = table.Rule{
		Name:    t.route.Key.String() + "/" + itoa(i),
		Route:   table.Route{Kind: kindRoute, Namespace: t.route.Namespace, Name: t.route.Name, Cluster: t.route.cluster},
		Index:   i,
		Created: unix(o.Created),
		Section: deref(t.spec.Name, ""),
	}
	t.matches()
	t.out.rule.Filters = t.filters(t.spec.Filters, t.path+".filters")
	t.timeouts()
	t.retry()
	t.backends()
	if f := oversize(&t.out.rule); f != nil {
		f.field = t.path
		t.bad = append(t.bad, *f)
	}
	if len(t.bad) > 0 {
		t.out.rule = closedRule(t.out.rule, "UnsupportedValue: "+join(t.bad))
		t.out.backends = nil
		t.set.dropped = append(t.set.dropped, itoa(i))
		t.set.partial = append(t.set.partial, t.bad...)
	}
	t.out.backends = compactTargets(t.out.backends)
	return t.out
}

// closedRule keeps of a rule what it matches, and why it answers 500: nothing
// that is invalid reaches a proxy.
func closedRule(r table.Rule, why string) table.Rule {
	return table.Rule{Name: r.Name, Route: r.Route, Index: r.Index, Section: r.Section, Created: r.Created, Matches: r.Matches, Closed: why}
}

func unix(created time.Time) int64 {
	if created.IsZero() {
		return 0
	}
	return created.Unix()
}

func compactTargets(list []backendTarget) []backendTarget {
	slices.SortFunc(list, func(a, b backendTarget) int {
		if c := a.key.Compare(b.key); c != 0 {
			return c
		}
		return a.port - b.port
	})
	return slices.Compact(list)
}

func (t *ruleTranslation) close(field, message string) {
	t.bad = append(t.bad, unsupported(field, message))
}

func (t *ruleTranslation) timeouts() {
	if t.spec.Timeouts == nil {
		return
	}
	request := t.duration(t.spec.Timeouts.Request, ".timeouts.request")
	backend := t.duration(t.spec.Timeouts.BackendRequest, ".timeouts.backendRequest")
	if request > 0 && backend > request {
		t.close(t.path+".timeouts.backendRequest", "is longer than the request's own timeout")
	}
	t.out.rule.RequestTimeout, t.out.rule.BackendTimeout = request, backend
}

func (t *ruleTranslation) duration(d *gwv1.Duration, field string) table.Duration {
	if d == nil {
		return 0
	}
	v, err := time.ParseDuration(string(*d))
	if err != nil || v < 0 {
		t.close(t.path+field, fmt.Sprintf("%q is no duration", *d))
		return 0
	}
	return table.Duration(v)
}

func (t *ruleTranslation) retry() {
	r := t.spec.Retry
	if r == nil {
		return
	}
	out := &table.Retry{Attempts: 1, Backoff: t.duration(r.Backoff, ".retry.backoff")}
	if r.Attempts != nil {
		switch out.Attempts = *r.Attempts; {
		case out.Attempts < 0:
			t.close(t.path+".retry.attempts", "is below 0")
		case out.Attempts > mostRetries:
			t.set.partial = append(t.set.partial, unsupported(t.path+".retry.attempts",
				fmt.Sprintf("%d is more than %d, which is as many as there will be", out.Attempts, mostRetries)))
			out.Attempts = mostRetries
		}
	}
	for i, c := range r.Codes {
		if c < 400 || c > 599 {
			t.close(fmt.Sprintf("%s.retry.codes[%d]", t.path, i), fmt.Sprintf("%d is no code from 400 to 599", c))
		}
		out.Codes = append(out.Codes, int(c))
	}
	t.out.rule.Retry = out
}

// backends resolves the references of a rule; one that leads nowhere answers
// its share with 500.
func (t *ruleTranslation) backends() {
	for i, b := range t.spec.BackendRefs {
		path := fmt.Sprintf("%s.backendRefs[%d]", t.path, i)
		out := table.BackendRef{Weight: 1}
		if b.Weight != nil {
			if out.Weight = *b.Weight; out.Weight < 0 || out.Weight > 1_000_000 {
				t.close(path+".weight", fmt.Sprintf("%d is not within 0 and 1000000", out.Weight))
			}
		}
		out.Filters = t.backendFilters(b.Filters, path+".filters")
		out.Backend, out.Closed = t.refer(b.BackendObjectReference, path)
		t.out.rule.Backends = append(t.out.rule.Backends, out)
	}
	redirects := slices.ContainsFunc(t.out.rule.Filters, func(f table.Filter) bool { return f.Redirect != nil })
	switch {
	case redirects && len(t.spec.BackendRefs) > 0:
		t.close(t.path+".backendRefs", "a rule that redirects has no backends")
	case !redirects && len(t.spec.BackendRefs) == 0:
		t.out.rule.Closed = "no backend is declared"
	}
}

// refer resolves one reference and notes what is wrong with it.
func (t *ruleTranslation) refer(b gwv1.BackendObjectReference, path string) (name, closed string) {
	from := reference{cluster: t.route.cluster, group: objects.GroupGateway, kind: kindRoute, namespace: t.route.Namespace}
	to, f := t.resolve(t.look, from, b)
	if f != nil {
		f.field = path
		t.set.unresolved = append(t.set.unresolved, *f)
		return "", f.reason + ": " + f.message
	}
	t.out.backends = append(t.out.backends, to)
	if to.key.Kind == kindService && t.route.cluster == t.options.Cluster {
		if why := t.missing.Get(t.look, servicePort(to)); why != "" {
			t.set.rest(fault{field: path, reason: "NoEndpoints", message: why})
		}
	}
	return backendName(to.key, to.port), ""
}
