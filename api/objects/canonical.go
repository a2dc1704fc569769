package objects

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// lastApplied is where kubectl keeps a copy of what was applied.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// serverFields of metadata are a server's, not the author's.
var serverFields = []string{
	"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp",
	"selfLink", "deletionTimestamp", "deletionGracePeriodSeconds",
}

// canonicalJSON is the object as its author wrote it: without status and what a
// server adds, names of fields sorted, numbers as they were, and in a Secret
// stringData merged into data.
func canonicalJSON(raw []byte, key Key) ([]byte, error) {
	tree, err := parse(raw)
	if err != nil {
		return nil, err
	}
	delete(tree, "status")
	meta, _ := tree["metadata"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
		tree["metadata"] = meta
	}
	for _, f := range serverFields {
		delete(meta, f)
	}
	meta["name"] = key.Name
	if key.Namespace != "" {
		meta["namespace"] = key.Namespace
	} else {
		delete(meta, "namespace")
	}
	if a, ok := meta["annotations"].(map[string]any); ok {
		if delete(a, lastApplied); len(a) == 0 {
			delete(meta, "annotations")
		}
	}
	if key.Kind == "Secret" && key.Group == "" {
		mergeStringData(tree)
	}
	return render(tree)
}

func parse(raw []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var tree map[string]any
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return tree, nil
}

func render(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}
