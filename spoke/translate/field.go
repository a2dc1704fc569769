package translate

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/navehq/nave/api/objects"
)

// fields is a tree of the fields that are built; a leaf is built with all below
// it. What is set and not in the tree is refused: nothing is ever ignored.
type fields map[string]fields

// built makes a tree of dotted paths; lists do not count as a step.
func built(paths ...string) fields {
	tree := fields{}
	for _, p := range paths {
		at := tree
		for step := range strings.SplitSeq(p, ".") {
			if at[step] == nil {
				at[step] = fields{}
			}
			at = at[step]
		}
	}
	return tree
}

// unbuilt lists the paths of fields that are set in an object's spec and not
// built, sorted, such as spec.policies.health or spec.rules[1].retry. Fields that
// do not exist at all are not among them: the object is invalid by those.
func unbuilt(o *objects.Object, tree fields) []string {
	var tops struct {
		Spec map[string]any `json:"spec"`
	}
	if err := json.Unmarshal(o.JSON, &tops); err != nil {
		return nil
	}
	var out []string
	visit(tops.Spec, tree, "spec", &out)
	slices.Sort(out)
	return slices.DeleteFunc(out, func(path string) bool {
		return slices.ContainsFunc(o.Invalid, func(p objects.Problem) bool { return p.Field == path })
	})
}

func visit(v any, tree fields, path string, out *[]string) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			below, ok := tree[k]
			switch {
			case v[k] == nil:
			case !ok:
				*out = append(*out, path+"."+k)
			case len(below) > 0:
				visit(v[k], below, path+"."+k, out)
			}
		}
	case []any:
		for i, x := range v {
			visit(x, tree, fmt.Sprintf("%s[%d]", path, i), out)
		}
	}
}

var indexes = regexp.MustCompile(`\[\d+\]`)

// general is a path without the positions in lists.
func general(path string) string { return indexes.ReplaceAllString(path, "") }

// suffixed tells whether a path, positions left out, ends in one of the ends or
// lies below one.
func suffixed(path string, ends []string) bool {
	path = general(path) + "."
	return slices.ContainsFunc(ends, func(end string) bool { return strings.Contains(path, "."+end+".") })
}

// notBuilt is the fault of a field that is understood and not built.
func notBuilt(path string) fault {
	return fault{field: path, reason: "UnsupportedField", message: "is not built yet", remedy: "remove it"}
}
