package translate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// builtParameters are what a proxy that is a process of a machine obeys, and
// podParameters what means something only where proxies are pods.
var (
	builtParameters = built("logging.level", "logging.format", "env.name", "env.value", "shutdown.min", "shutdown.max", "deployment.spec.replicas")
	podParameters   = []string{"workload", "image", "resources", "deployment", "daemonSet", "service", "serviceAccount",
		"podDisruptionBudget", "horizontalPodAutoscaler"}
)

// envLevel is the variable by which agentgateway is told its log's level.
const envLevel = "RUST_LOG"

// levels are those of agentgateway's log, and what they are here.
var levels = map[string]string{"off": table.LogOff, "error": "error", "warn": "warn", "info": "info", "debug": "debug", "trace": "debug"}

// maxDrain is the longest that a proxy may be told to drain, seconds.
const maxDrain = 31536000

// onlyOnKubernetes is what people are told of a field that is for pods.
func onlyOnKubernetes(path string) fault {
	return fault{field: path, reason: v1alpha1.ReasonOnlyOnKubernetes,
		message: "is for pods: proxies that are processes of this machine do not have it", remedy: "nothing is to be done"}
}

// runtime are the parameters that proxies obey.
type runtime struct {
	Logging    agentgateway.Logging   `json:"logging"`
	Env        []corev1.EnvVar        `json:"env"`
	Shutdown   *agentgateway.Shutdown `json:"shutdown"`
	Deployment struct {
		Spec struct {
			Replicas *int `json:"replicas"`
		} `json:"spec"`
	} `json:"deployment"`
}

// infer makes of the parameters in force, the later ones winning, what their
// Gateway's proxies obey. Values that are wrong are left out: productOfParameters
// tells of them. Variables stay where they are declared.
func (info *TableInfo) infer(here bool) {
	info.Replicas = 1
	env := map[string]string{}
	for _, raw := range info.Parameters {
		var p runtime
		if json.Unmarshal([]byte(raw), &p) != nil {
			continue
		}
		if n := p.Deployment.Spec.Replicas; n != nil {
			info.Replicas = max(0, *n)
		}
		if level, _ := readLevel(p.Logging.Level); level != "" {
			info.Runtime.LogLevel = level
		}
		if f := p.Logging.Format; f == "json" || f == "text" {
			info.Runtime.LogFormat = f
		}
		if x := p.Shutdown; x != nil && wrongDrain(*x) == "" {
			info.Runtime.Drain = &table.Drain{Min: x.Min, Max: x.Max}
		}
		for _, e := range p.Env {
			if here && e.ValueFrom == nil && wrongVariable(e).message == "" {
				env[e.Name] = e.Value
			}
		}
	}
	if level, _ := readLevel(env[envLevel]); info.Runtime.LogLevel == "" {
		info.Runtime.LogLevel = level
	}
	delete(env, envLevel)
	for name, value := range env {
		info.Env = append(info.Env, name+"="+value)
	}
	slices.Sort(info.Env)
}

// declaresEnv tells whether the parameters hold variables.
func (info *TableInfo) declaresEnv() bool {
	return slices.ContainsFunc(info.Parameters, func(raw string) bool {
		var p runtime
		return json.Unmarshal([]byte(raw), &p) == nil && len(p.Env) > 0
	})
}

// readLevel reads a level in RUST_LOG's syntax. What is for one module of
// agentgateway alone is not obeyed.
func readLevel(text string) (level, wrong string) {
	if text == "" {
		return "", ""
	}
	var wrongs []string
	for part := range strings.SplitSeq(text, ",") {
		part = strings.ToLower(strings.TrimSpace(part))
		switch {
		case strings.Contains(part, "="):
			wrongs = append(wrongs, fmt.Sprintf("%q is for a module of agentgateway's and not obeyed", part))
		case levels[part] == "":
			wrongs = append(wrongs, fmt.Sprintf("there is no level %q", part))
		default:
			level = levels[part]
		}
	}
	return level, strings.Join(wrongs, ", ")
}

func wrongDrain(s agentgateway.Shutdown) string {
	switch {
	case s.Min < 0 || s.Max > maxDrain:
		return fmt.Sprintf("min and max are within 0 and %d seconds", maxDrain)
	case s.Min > s.Max:
		return "min is more than max"
	}
	return ""
}

// wrongVariable is why a variable cannot be given to a proxy; its field is below env[i].
func wrongVariable(e corev1.EnvVar) fault {
	switch {
	case len(validation.IsEnvVarName(e.Name)) > 0 || strings.HasPrefix(e.Name, "NAVE_"):
		return fault{field: "name", message: fmt.Sprintf("%q cannot be set", e.Name), remedy: "name a variable of letters, digits and _ that does not begin with NAVE_"}
	case strings.ContainsRune(e.Value, 0):
		return fault{field: "value", message: "holds a zero byte", remedy: "take it out"}
	case strings.Contains(e.Value, "$("):
		return fault{field: "value", reason: v1alpha1.ReasonUnsupportedField, message: "variables within a value are not built yet", remedy: "write the value out"}
	case e.Name == envLevel:
		if _, wrong := readLevel(e.Value); wrong != "" {
			return fault{field: "value", message: wrong, remedy: "use one of off, error, warn, info, debug, trace"}
		}
	}
	return fault{}
}

// productOfParameters says what of them is obeyed.
func (s *schema) productOfParameters(o *objects.Object) product {
	var faults []fault
	p := o.Value.(*agentgateway.AgentgatewayParameters)
	logging := cmp.Or(p.Spec.Logging, &agentgateway.Logging{})
	if _, wrong := readLevel(logging.Level); wrong != "" {
		faults = append(faults, fault{field: "spec.logging.level", message: wrong, remedy: "use one of off, error, warn, info, debug, trace"})
	}
	if f := logging.Format; f != "" && f != "json" && f != "text" {
		faults = append(faults, fault{field: "spec.logging.format", message: fmt.Sprintf("there is no format %q", f), remedy: "use json or text"})
	}
	if x := p.Spec.Shutdown; x != nil {
		if wrong := wrongDrain(*x); wrong != "" {
			faults = append(faults, fault{field: "spec.shutdown", message: wrong, remedy: "correct it; until then proxies drain as if it were not set"})
		}
	}
	for i, e := range p.Spec.Env {
		if f := wrongVariable(e); f.message != "" {
			f.field = fmt.Sprintf("spec.env[%d].%s", i, f.field)
			faults = append(faults, f)
		}
	}
	notHere := []fault{}
	for _, path := range unbuilt(o, builtParameters) {
		top, _, _ := strings.Cut(strings.TrimPrefix(path, "spec."), ".")
		if slices.Contains(podParameters, top) {
			notHere = append(notHere, onlyOnKubernetes(path))
		} else {
			faults = append(faults, notBuilt(path))
		}
	}
	accepted := yes(v1alpha1.ConditionAccepted, v1alpha1.ReasonAccepted, "is obeyed")
	if all := append(invalid(o), faults...); len(all) > 0 {
		accepted = no(v1alpha1.ConditionAccepted, "Invalid", join(all))
	} else if len(notHere) > 0 {
		accepted.message = join(notHere)
	}
	return product{
		status:   &objects.Status{Key: o.Key, Generation: o.Generation, Value: &objects.Conditions{Conditions: at(o.Generation, accepted)}},
		problems: s.problems(o, append(faults, notHere...)),
	}
}
