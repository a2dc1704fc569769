package failover

import (
	"fmt"
	"slices"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/v1alpha1"
)

// Bounds of a policy's lists.
const (
	maxTargets   = 16
	maxRegions   = 64
	maxProviders = 128
)

// Check says what of a policy cannot be obeyed, whoever reads it: what a
// Kubernetes API server refuses by the published CRD, and what is not built.
func Check(s *v1alpha1.FailoverPolicySpec) []Refusal {
	_, refusals := Apply(Default(), s.FailoverRules, "spec")
	r := &reader{path: "spec", refusals: refusals}
	r.targets(s.TargetRefs)
	r.length("allowedRegions", len(s.AllowedRegions), maxRegions)
	repeated(r, "allowedRegions", s.AllowedRegions)
	r.providers(s.Providers)
	r.modes(s)
	return r.refusals
}

func (r *reader) length(field string, n, most int) {
	if n > most {
		r.refuse(field, fmt.Sprintf("has %d entries", n), fmt.Sprintf("give at most %d", most))
	}
}

func (r *reader) targets(list []v1alpha1.FailoverTargetRef) {
	r.length("targetRefs", len(list), maxTargets)
	for i, t := range list {
		field := fmt.Sprintf("targetRefs[%d]", i)
		switch (objects.Key{Group: t.Group, Kind: t.Kind}) {
		case objects.Key{Group: "agentgateway.dev", Kind: "AgentgatewayBackend"}, objects.Key{Kind: "Service"}:
			if t.SectionName != "" {
				r.refuse(field+".sectionName", "is not built yet for a target of kind "+t.Kind, "target all of it")
			}
		case objects.Key{Group: objects.GroupGateway, Kind: "HTTPRoute"}, objects.Key{Group: objects.GroupGateway, Kind: "Gateway"}:
		default:
			r.refuse(field, fmt.Sprintf("%s of group %q is nothing that a FailoverPolicy holds for", t.Kind, t.Group),
				"target an AgentgatewayBackend, a Service, an HTTPRoute or a Gateway, each with its group")
		}
	}
}

func (r *reader) providers(list []v1alpha1.FailoverProvider) {
	r.length("providers", len(list), maxProviders)
	var names []v1alpha1.Name
	for i, p := range list {
		names = append(names, p.Name)
		field := fmt.Sprintf("providers[%d]", i)
		if p.Region == "" && p.InputCost == "" && p.OutputCost == "" {
			r.refuse(field, "says nothing of the provider", "give its region")
		}
		if p.InputCost != "" {
			r.unbuilt(field+".inputCost", "is not built yet", "remove it")
		}
		if p.OutputCost != "" {
			r.unbuilt(field+".outputCost", "is not built yet", "remove it")
		}
	}
	repeated(r, "providers", names)
}

// modes reads the choices among words.
func (r *reader) modes(s *v1alpha1.FailoverPolicySpec) {
	word(r, "credentials", s.Credentials, v1alpha1.CredentialsLocal, v1alpha1.CredentialsSealed)
	word(r, "policyDrift", s.PolicyDrift, v1alpha1.PolicyDriftDeny, v1alpha1.PolicyDriftAllow)
	word(r, "automation", s.Automation, v1alpha1.AutomationEnabled, v1alpha1.AutomationDisabled)
	if s.Credentials == v1alpha1.CredentialsSealed {
		r.unbuilt("credentials", "Sealed is not built yet; keys stay where they are", "use Local")
	}
	if s.Automation == v1alpha1.AutomationDisabled {
		r.unbuilt("automation", "Disabled is not built yet: nothing moves these targets by itself so far", "remove it")
	}
}

func word[T ~string](r *reader, field string, is T, words ...T) {
	if is != "" && !slices.Contains(words, is) {
		r.refuse(field, fmt.Sprintf("there is no %q", is), fmt.Sprintf("use %s or %s", words[0], words[1]))
	}
}

// Regions are where the providers are said to be, by their names.
func Regions(list []v1alpha1.FailoverProvider) map[string]string {
	out := map[string]string{}
	for _, p := range list {
		if p.Region != "" {
			out[string(p.Name)] = string(p.Region)
		}
	}
	return out
}
