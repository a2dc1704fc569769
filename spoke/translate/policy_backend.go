package translate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/derive"
)

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
