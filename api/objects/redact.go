package objects

import (
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/navehq/nave/api/agentgateway"
)

// AnnotationInvalid marks an object that its own cluster could not read as it
// stands. Redact leaves out what was not understood; the mark keeps other
// clusters from taking the rest for the whole.
const AnnotationInvalid = "nave.dev/invalid"

// Redact gives the object as it may leave its cluster: a Secret's data, and each
// value that agentgateway's types mark as secret, replaced by keyed of it, so
// that equality can still be seen. Fields that the kind does not have are left
// out, since nobody knows whether they hold a secret.
func Redact(o *Object, keyed func(string) string) (json.RawMessage, error) {
	out, err := redact(o, keyed)
	if err != nil {
		return nil, fmt.Errorf("redact %s: %w", o.Key, err)
	}
	return out, nil
}

func redact(o *Object, keyed func(string) string) (json.RawMessage, error) {
	value := New(o.Group, o.Kind)
	if _, raw := value.(*unstructured.Unstructured); raw || value == nil {
		return o.JSON, nil
	}
	// An object with values of wrong types is read as far as that goes.
	if err := json.Unmarshal(o.JSON, value); err != nil && len(o.Invalid) == 0 {
		return nil, err
	}
	if o.Group == GroupAgentgateway {
		if err := agentgateway.ReplaceSecrets(value, func(_, v string) string { return keyed(v) }); err != nil {
			return nil, err
		}
	}
	raw, err := render(value)
	if err != nil {
		return nil, err
	}
	if raw, err = canonicalJSON(raw, o.Key); err != nil {
		return nil, err
	}
	if len(o.Invalid) == 0 && o.Kind != "Secret" {
		return raw, nil
	}
	tree, err := parse(raw)
	if err != nil {
		return nil, err
	}
	if data, ok := tree["data"].(map[string]any); ok && o.Kind == "Secret" {
		for k, v := range data {
			data[k] = keyed(fmt.Sprint(v))
		}
	}
	if len(o.Invalid) > 0 {
		markInvalid(tree, worst(o.Invalid))
	}
	return render(tree)
}

// worst is the first problem that leaves open what the author meant, else the first.
func worst(list []Problem) Problem {
	i := slices.IndexFunc(list, func(p Problem) bool { return p.Reason != ReasonNotAllowed })
	return list[max(i, 0)]
}

func markInvalid(tree map[string]any, why Problem) {
	meta := tree["metadata"].(map[string]any)
	annotations, ok := meta["annotations"].(map[string]any)
	if !ok {
		annotations = map[string]any{}
		meta["annotations"] = annotations
	}
	annotations[AnnotationInvalid] = why.Reason + " " + why.Field
}
