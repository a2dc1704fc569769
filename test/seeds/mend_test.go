package seeds_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// A document whose layout lost its indentation is mended by what may stand below
// what: each line goes below the nearest open key that can have it. lists are
// the keys whose children are the fields of their elements.
var (
	below = map[string]string{
		"":                    "apiVersion kind metadata spec type stringData data",
		"metadata":            "name namespace labels annotations",
		"labels":              "app azure.workload.identity/use",
		"matchLabels":         "app",
		"selector":            "app matchLabels matchExpressions",
		"spec":                "gatewayClassName listeners parentRefs rules ai mcp policies replicas selector template containers volumes ports deployment apiKeySecret apiKeySecretKey model provider openAI description type declarative url protocol timeout terminateOnClose podMetricsEndpoints",
		"listeners":           "name port protocol allowedRoutes",
		"allowedRoutes":       "namespaces",
		"namespaces":          "from",
		"stringData":          "Authorization",
		"data":                "server.py prometheus-config",
		"ai":                  "provider groups",
		"groups":              "providers",
		"provider":            "azureopenai openai host port",
		"providers":           "name azureopenai openai",
		"azureopenai":         "endpoint deploymentName apiVersion",
		"openai":              "model auth",
		"auth":                "secretRef apiKey",
		"apiKey":              "secretRef",
		"secretRef":           "name key",
		"policies":            "auth",
		"mcp":                 "targets",
		"targets":             "name static",
		"static":              "host port path protocol",
		"parentRefs":          "name namespace",
		"rules":               "matches filters backendRefs",
		"matches":             "path",
		"filters":             "type urlRewrite",
		"urlRewrite":          "path",
		"path":                "type value replaceFullPath",
		"backendRefs":         "name namespace group kind",
		"deployment":          "spec",
		"template":            "metadata spec",
		"containers":          "name image command args ports volumeMounts readinessProbe",
		"ports":               "containerPort port targetPort",
		"volumeMounts":        "name mountPath",
		"readinessProbe":      "httpGet initialDelaySeconds periodSeconds",
		"httpGet":             "path port",
		"volumes":             "name configMap",
		"configMap":           "name",
		"openAI":              "baseUrl",
		"declarative":         "modelConfig systemMessage tools",
		"tools":               "type mcpServer",
		"mcpServer":           "name kind toolNames",
		"matchExpressions":    "key operator values",
		"podMetricsEndpoints": "port path interval",
	}
	lists = strings.Fields("listeners groups providers targets parentRefs rules matches filters backendRefs containers ports volumeMounts volumes tools matchExpressions podMetricsEndpoints")

	field = regexp.MustCompile(`^(- )?([A-Za-z][\w./-]*):( .*)?$`)
	// element is one of a list that is no mapping.
	element = regexp.MustCompile(`^- \S+$`)
	// glued is prose that the layout put behind a manifest's last line.
	glued = regexp.MustCompile(`(If you instead|8\. Test from|Adding Anthropic|EOF).*$`)
)

// frame is an open key.
type frame struct {
	key    string
	indent int // of what is below it
	item   bool
	used   map[string]bool
}

// mender writes one manifest anew.
type mender struct {
	open  []frame
	block int // indent of a block of text that is under way; 0 for none
	out   strings.Builder
}

func newMender() *mender { return &mender{open: []frame{{used: map[string]bool{}}}} }

// home finds where a field belongs: the index of its frame, -1 for nowhere.
func (m *mender) home(key string, item bool) int {
	for i := len(m.open) - 1; i >= 0; i-- {
		f := m.open[i]
		list := slices.Contains(lists, f.key)
		if !slices.Contains(strings.Fields(below[f.key]), key) {
			continue
		}
		if item && list || !item && (!list || f.item) && !f.used[key] {
			return i
		}
	}
	return -1
}

// line takes one line, and is false where it is no part of the manifest.
func (m *mender) line(text string) bool {
	parts := field.FindStringSubmatch(text)
	at := -1
	if parts != nil {
		at = m.home(parts[2], parts[1] != "")
	}
	switch {
	case at < 0 && m.block > 0:
		m.write(m.block, text)
		return true
	case at < 0 && element.MatchString(text):
		last := m.open[len(m.open)-1] // an element that is no mapping
		m.write(last.indent, text)
		if m.block = 0; strings.HasSuffix(text, "|") {
			m.block = last.indent + 4
		}
		return true
	case at < 0:
		return false
	}
	m.block = 0
	m.open = m.open[:at+1]
	f := &m.open[at]
	key, value, indent := parts[2], strings.TrimSpace(parts[3]), f.indent
	if parts[1] != "" {
		f.item, f.used = true, map[string]bool{}
	} else if slices.Contains(lists, f.key) {
		indent += 2 // below the dash
	}
	f.used[key] = true
	m.write(indent, text)
	if parts[1] != "" {
		indent += 2
	}
	if value == "" {
		m.open = append(m.open, frame{key: key, indent: indent + 2, used: map[string]bool{}})
	}
	if value == "|" || value == "|-" {
		m.block = indent + 2
	}
	return true
}

func (m *mender) write(indent int, text string) {
	m.out.WriteString(strings.Repeat(" ", indent) + text + "\n")
}

// manifests are those of a document, mended where it has no indentation.
func manifests(document string) []string {
	var out []string
	lines := strings.Split(document, "\n")
	for i := 0; i < len(lines); {
		if !begins(lines[i:]) {
			i++
			continue
		}
		end := i
		if indented(lines[i:]) {
			for end < len(lines) && (lines[end] == "" || strings.HasPrefix(lines[end], " ") || field.MatchString(lines[end])) {
				end++
			}
			out = append(out, strings.Join(lines[i:end], "\n"))
			i = end
			continue
		}
		m := newMender()
		for last := false; end < len(lines) && !last; end++ {
			text := glued.ReplaceAllString(lines[end], "")
			last = text != lines[end]
			if text == "---" || text != "" && !m.line(text) {
				break
			}
		}
		out = append(out, m.out.String())
		i = max(end, i+1)
	}
	return out
}

func begins(lines []string) bool {
	return strings.HasPrefix(lines[0], "apiVersion: ") ||
		strings.HasPrefix(lines[0], "kind: ") && len(lines) > 1 && strings.HasPrefix(lines[1], "apiVersion: ")
}

// indented tells whether the layout kept the indentation: something stands below metadata.
func indented(lines []string) bool {
	for i, l := range lines {
		if l == "metadata:" {
			return i+1 < len(lines) && strings.HasPrefix(lines[i+1], " ")
		}
	}
	return false
}

// TestMend holds the mender against manifests whose indentation is known.
func TestMend(t *testing.T) {
	for _, whole := range []string{`apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata:
  labels:
    app: a
  name: b
  namespace: c
spec:
  ai:
    groups:
    - providers:
      - name: one
        openai:
          model: m
          auth:
            apiKey:
              secretRef:
                name: s
                key: k
  policies:
    auth:
      secretRef:
        name: s
`, `apiVersion: apps/v1
kind: Deployment
metadata:
  name: d
spec:
  replicas: 1
  selector:
    matchLabels:
      app: d
  template:
    metadata:
      labels:
        app: d
    spec:
      containers:
      - name: c
        image: i
        command: ["/bin/sh", "-c"]
        args:
        - |
          pip install x &&
          python /app/server.py
        ports:
        - containerPort: 8000
        readinessProbe:
          httpGet:
            path: /
            port: 8000
          periodSeconds: 5
      volumes:
      - name: v
        configMap:
          name: m
`, `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: r
spec:
  parentRefs:
  - name: g
    namespace: n
  rules:
  - matches:
    - path:
        type: PathPrefix
        value: /a
    filters:
    - type: URLRewrite
      urlRewrite:
        path:
          type: ReplaceFullPath
          replaceFullPath: /b
    backendRefs:
    - name: b
      group: agentgateway.dev
      kind: AgentgatewayBackend
`} {
		var flat strings.Builder
		for line := range strings.Lines(whole) {
			flat.WriteString(strings.TrimLeft(line, " "))
		}
		for _, document := range []string{"Prose.\nkubectl apply -f - <<EOF\n" + flat.String() + "EOF- More prose.\n", flat.String() + "That was it.\n", whole + "\nThat was it.\n"} {
			list := manifests(document)
			if len(list) != 1 {
				t.Errorf("%d manifests in\n%s", len(list), document)
				continue
			}
			var got, want any
			if err := yaml.Unmarshal([]byte(list[0]), &got); err != nil {
				t.Errorf("%v:\n%s", err, list[0])
			}
			if err := yaml.Unmarshal([]byte(whole), &want); err != nil {
				t.Fatal(err)
			}
			if a, b := show(t, got), show(t, want); a != b {
				t.Errorf("mended:\n%s\nwhole:\n%s", a, b)
			}
		}
	}
}

func show(t *testing.T, v any) string {
	t.Helper()
	data, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
