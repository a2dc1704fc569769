package folder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/navehq/nave/api/atomicfile"
	"github.com/navehq/nave/api/objects"
)

// Written is an object's status as it stands in a file.
type Written struct {
	APIGroup  string            `json:"apiGroup,omitempty"`
	Kind      string            `json:"kind"`
	Namespace string            `json:"namespace,omitempty"`
	Name      string            `json:"name"`
	File      string            `json:"file,omitempty"` // where the object is declared
	Notes     map[string]string `json:"annotations,omitempty"`
	Status    json.RawMessage   `json:"status"`
}

// Statuses writes statuses below a folder: kind/namespace/name.yaml. It gives
// each condition the time since when it has its status, as a cluster's clients
// expect it.
type Statuses struct {
	Dir string
	Now func() time.Time
}

func (w Statuses) path(k objects.Key) string {
	namespace := k.Namespace
	if namespace == "" {
		namespace = "-"
	}
	return filepath.Join(w.Dir, k.Kind, namespace, k.Name+".yaml")
}

// Write writes the status of an object with the annotations owed to it, if it
// differs, and gives it as it stands there, its conditions dated.
func (w Statuses) Write(s objects.Status, notes map[string]string) (json.RawMessage, error) {
	dated, err := w.write(s, notes)
	if err != nil {
		return nil, fmt.Errorf("write the status of %s: %w", s.Key, err)
	}
	return dated, nil
}

func (w Statuses) write(s objects.Status, notes map[string]string) (json.RawMessage, error) {
	path := w.path(s.Key)
	before := map[string]any{}
	if data, err := os.ReadFile(path); err == nil {
		var old Written
		if yaml.Unmarshal(data, &old) == nil {
			_ = json.Unmarshal(old.Status, &before) // what cannot be read is written anew
		}
	}
	raw, err := json.Marshal(s.Value)
	if err != nil {
		return nil, err
	}
	after := map[string]any{}
	if err := json.Unmarshal(raw, &after); err != nil {
		return nil, err
	}
	dateConditions(before, after, w.Now().UTC().Format(time.RFC3339))
	if raw, err = json.Marshal(after); err != nil {
		return nil, err
	}
	data, err := yaml.Marshal(Written{s.Key.Group, s.Key.Kind, s.Key.Namespace, s.Key.Name, s.File, notes, raw})
	if err != nil {
		return nil, err
	}
	if old, err := os.ReadFile(path); err == nil && string(old) == string(data) {
		return raw, nil
	}
	if err := atomicfile.Replace(path, data); err != nil {
		return nil, err
	}
	return raw, nil
}

// Remove takes the status of an object away.
func (w Statuses) Remove(k objects.Key) error {
	if err := os.Remove(w.path(k)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove the status of %s: %w", k, err)
	}
	return nil
}

// Retain removes the statuses of the objects that keep does not want.
func (w Statuses) Retain(keep func(objects.Key) bool) error {
	return filepath.WalkDir(w.Dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read an old status: %w", err)
		}
		var old Written
		k := objects.Key{}
		if yaml.Unmarshal(data, &old) == nil {
			k = objects.Key{Group: old.APIGroup, Kind: old.Kind, Namespace: old.Namespace, Name: old.Name}
		}
		if keep(k) {
			return nil
		}
		return os.Remove(path)
	})
}

// dateConditions gives every condition in after, wherever it stands, the time
// that it had before if its status is still the same, else now.
func dateConditions(before, after any, now string) {
	switch after := after.(type) {
	case map[string]any:
		old, _ := before.(map[string]any)
		if isCondition(after) {
			if old != nil && old["status"] == after["status"] && old["lastTransitionTime"] != nil {
				now = fmt.Sprint(old["lastTransitionTime"])
			}
			after["lastTransitionTime"] = now
			return
		}
		for k, v := range after {
			dateConditions(old[k], v, now)
		}
	case []any:
		old, _ := before.([]any)
		for i, v := range after {
			dateConditions(counterpart(old, v, i), v, now)
		}
	}
}

func isCondition(m map[string]any) bool {
	_, status := m["status"].(string)
	_, kind := m["type"].(string)
	_, reason := m["reason"].(string)
	return status && kind && reason
}

// counterpart finds what stood for v before: the condition of that type, the
// listener or parent of that name, else what stood at that place.
func counterpart(old []any, v any, i int) any {
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	for _, key := range []string{"type", "name", "parentRef", "ancestorRef"} {
		if m[key] == nil {
			continue
		}
		for _, o := range old {
			if om, ok := o.(map[string]any); ok && reflect.DeepEqual(om[key], m[key]) {
				return o
			}
		}
		return nil
	}
	if i < len(old) {
		return old[i]
	}
	return nil
}
