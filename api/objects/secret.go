package objects

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// expandSecret puts the environment's values in place of $VAR and ${VAR} in a
// Secret's data and stringData; $$ is a plain $. Every variable that is missing
// is a problem by its name.
func expandSecret(raw []byte, o *Object, env func(string) (string, bool)) ([]byte, []Problem) {
	tree, err := parse(raw)
	if err != nil {
		return raw, nil
	}
	var problems []Problem
	changed := false
	for _, section := range []string{"data", "stringData"} {
		values, _ := tree[section].(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(values)) {
			text, ok := values[k].(string)
			if !ok || !strings.Contains(text, "$") {
				continue
			}
			expanded, missing := expand(text, env)
			for _, name := range missing {
				problems = append(problems, Problem{
					Cluster: o.Cluster, File: o.File, Object: o.Key.String(), Field: section + "." + k,
					Reason:  ReasonMissingEnv,
					Message: "environment variable " + name + " is not set, so the Secret counts as missing",
					Remedy:  "set " + name + ", or write $$ for a plain $",
				})
			}
			values[k], changed = expanded, true
		}
	}
	if len(problems) > 0 || !changed {
		return raw, problems
	}
	out, err := render(tree)
	if err != nil {
		return raw, nil
	}
	return out, nil
}

// expand replaces variables and lists those that are missing.
func expand(text string, env func(string) (string, bool)) (string, []string) {
	var b strings.Builder
	var missing []string
	for {
		before, after, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String(), missing
		}
		if rest, ok := strings.CutPrefix(after, "$"); ok {
			b.WriteByte('$')
			text = rest
			continue
		}
		name, rest := variableName(after)
		if name == "" {
			b.WriteByte('$')
			text = after
			continue
		}
		value, ok := env(name)
		if !ok {
			missing = append(missing, name)
		}
		b.WriteString(value)
		text = rest
	}
}

// variableName is the name that text begins with, plain or in braces.
func variableName(text string) (name, rest string) {
	inner, braced := strings.CutPrefix(text, "{")
	end := 0
	for end < len(inner) && letter(inner[end], end > 0) {
		end++
	}
	switch {
	case end == 0:
		return "", text
	case !braced:
		return text[:end], text[end:]
	case end < len(inner) && inner[end] == '}':
		return inner[:end], inner[end+1:]
	}
	return "", text
}

func letter(c byte, digits bool) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || digits && '0' <= c && c <= '9'
}

// mergeStringData does what an API server does: stringData wins over data.
func mergeStringData(tree map[string]any) {
	plain, _ := tree["stringData"].(map[string]any)
	if len(plain) == 0 {
		delete(tree, "stringData")
		return
	}
	data, ok := tree["data"].(map[string]any)
	if !ok {
		data = map[string]any{}
	}
	for k, v := range plain {
		text, ok := v.(string)
		if !ok {
			return
		}
		data[k] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	tree["data"] = data
	delete(tree, "stringData")
}

func mergeSecret(s *corev1.Secret) {
	for k, v := range s.StringData {
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[k] = []byte(v)
	}
	s.StringData = nil
}
