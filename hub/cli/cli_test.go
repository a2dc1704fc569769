package cli_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/audit"
	"github.com/navehq/nave/hub/cli"
)

const example = "../../docs/examples/three-regions"

// nave runs one command line.
func nave(t *testing.T, args ...string) (code int, out, problems string) {
	t.Helper()
	var o, p bytes.Buffer
	code = cli.Run(t.Context(), args, &o, &p)
	return code, o.String(), p.String()
}

// folder writes files of a fleet's folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"version"}, 0, ""},
		{[]string{"status", "--dir", t.TempDir()}, 1, "nave up"},
		{[]string{"status", "--bad"}, 2, "unknown flag"},
		{[]string{"nonsense"}, 2, "unknown command"},
		{[]string{"cordon"}, 2, "accepts 1 arg"},
		{[]string{"explain", "a", "b"}, 2, "accepts 1 arg"},
		{[]string{"check", filepath.Join(t.TempDir(), "none")}, 1, "no such file"},
		{[]string{"plan", example, "-o", "xml"}, 2, "xml"},
		{[]string{"latency", "--via", "nowhere", "--dir", t.TempDir()}, 1, "has not been started"},
		{[]string{"token", "create"}, 2, `"cluster" not set`},
		{[]string{"explain", "b", "--from", "a", "--via", "b"}, 2, "from via"},
		{[]string{"audit", "show", "-n", "-4"}, 2, "0 or more"},
		{[]string{"logs", "-n", "-2"}, 2, "0 or more"},
		{[]string{"cordon", "a", "--for", "500ms"}, 2, "1s to 8784h"},
		{[]string{"drain", "a", "--for", "0s"}, 2, "1s to 8784h"},
		{[]string{"freeze", "--for", "-1h"}, 2, "1s to 8784h"},
		{[]string{"cordon", "a", "--for", "9000h"}, 2, "1s to 8784h"},
	} {
		code, _, problems := nave(t, c.args...)
		if code != c.code || !strings.Contains(problems, c.want) {
			t.Errorf("nave %s: %d, want %d, %q", strings.Join(c.args, " "), code, c.code, problems)
		}
	}
}

func TestCheck(t *testing.T) {
	if code, out, problems := nave(t, "check", example); code != 0 || out != "" {
		t.Errorf("the example: %d %s %s", code, out, problems)
	}
	if _, out, _ := nave(t, "check", example, "-o", "json"); out != "[]\n" {
		t.Errorf("nothing, as JSON, is %s", out)
	}
	dir := folder(t, map[string]string{
		"hub/tenants.yaml":          "apiVersion: nave.dev/v1alpha1\nkind: Tenant\nmetadata: {name: t}\nspec: {nonsense: 1}\n",
		"hub/wan.yaml":              "links:\n- {between: [a, b], delay: far}\n",
		"hub/hosts.yaml":            "hosts:\n- {host: x, port: 0, address: y}\n",
		"clusters/a/processes.yaml": "processes:\n- {name: x, command: [x]}\n- {name: x, command: [x]}\n- {name: y}\n",
		"clusters/a/route.yaml": `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: ns}
spec:
  parentRefs: [{name: nobody}]
`,
		"clusters/b/broken.yaml": "a: [",
	})
	before := list(t, dir)
	code, out, _ := nave(t, "check", dir)
	if code != 1 {
		t.Errorf("the exit code is %d", code)
	}
	for _, want := range []string{
		"problem  hub/tenants.yaml:1: Tenant t: spec.nonsense", "problem  hub/wan.yaml: links[0]", "problem  hub/hosts.yaml: hosts[0]",
		"problem  clusters/a/processes.yaml: processes[1].name", "problem  clusters/a/processes.yaml: processes[2]",
		"clusters/a/route.yaml:1: HTTPRoute ns/r: spec.parentRefs[0]", "problem  clusters/b/broken.yaml:1",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it lacks %q:\n%s", want, out)
		}
	}
	var got []objects.Problem
	if _, out, _ := nave(t, "check", dir, "-o", "json"); json.Unmarshal([]byte(out), &got) != nil || len(got) < 7 {
		t.Errorf("as JSON: %s", out)
	}
	if after := list(t, dir); after != before {
		t.Errorf("it left something behind:\n%s", after)
	}
}

// TestCheckFiles: files of a fleet's folder are read with the rest of it, others
// for themselves.
func TestCheckFiles(t *testing.T) {
	const gateway = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: ns}\nspec: {gatewayClassName: nave, listeners: [{name: h, port: 8080, protocol: HTTP}]}\n"
	const route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: ns}\nspec: {parentRefs: [{name: g}]}\n"
	const broken = "a: ["
	dir := folder(t, map[string]string{
		"f/clusters/a/gateway.yaml": gateway, "f/clusters/a/route.yaml": route, "f/clusters/a/broken.yaml": broken, "f/clusters/b/broken.yaml": broken,
		"f/hub/wan.yaml": "links: [{from: a, to: z}]", "f/clusters/a/processes.yaml": "processes: [{}]",
		"loose/gateway.yaml": gateway, "loose/route.yml": route, "route.yaml": route, "empty/x.txt": "",
	})
	for _, c := range []struct {
		why   string
		files []string
		code  int
		want  []string
	}{
		{"what it refers to is in another file", []string{"f/clusters/a/route.yaml"}, 0, nil},
		{"its own problems only", []string{"f/clusters/a/route.yaml", "f/clusters/a/broken.yaml"}, 1, []string{"clusters/a/broken.yaml:1"}},
		{"a cluster's folder", []string{"f/clusters/b"}, 1, []string{"clusters/b/broken.yaml:1"}},
		{"what is no object", []string{"f/hub/wan.yaml", "f/clusters/a/processes.yaml"}, 1, []string{"hub/wan.yaml: links[0]", "clusters/a/processes.yaml: processes[0]"}},
		{"a folder of manifests", []string{"loose"}, 0, nil},
		{"a file with nothing around it", []string{"route.yaml"}, 1, []string{"route.yaml:1: HTTPRoute ns/r: spec.parentRefs[0]"}},
		{"of here and there", []string{"route.yaml", "f/clusters/a/gateway.yaml"}, 0, nil},
		{"nothing", []string{"empty"}, 1, nil},
	} {
		args := []string{"check"}
		for _, name := range c.files {
			args = append(args, filepath.Join(dir, name))
		}
		code, out, problems := nave(t, args...)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if out == "" {
			lines = nil
		}
		if code != c.code || len(lines) != len(c.want) {
			t.Errorf("%s: %d, %q %s", c.why, code, lines, problems)
			continue
		}
		for i, want := range c.want {
			if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, want) }) {
				t.Errorf("%s: line %d lacks %q: %q", c.why, i, want, lines)
			}
		}
	}
}

func list(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		out.WriteString(path + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPlan(t *testing.T) {
	code, out, problems := nave(t, "plan", example)
	if code != 0 {
		t.Fatal(problems)
	}
	for _, want := range []string{
		"=== agentgateway-system/agentgateway-mcp in eastus", "=== agentgateway-system/agentgateway-route-foundry in westus2",
		"order=Region regions=westus2,southcentralus", "auth key secret=", "match path prefix /azureopenai",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it lacks %q:\n%s", want, out)
		}
	}
	dir := t.TempDir()
	if code, changes, _ := nave(t, "plan", example, "--changes", "--dir", dir); code != 0 || !strings.Contains(changes, "=== assignment of eastus\n") || !strings.Contains(changes, "  + listener ") || strings.Contains(changes, "\n  - ") {
		t.Errorf("as changes of what has never run: %d %s", code, changes)
	}
	_, asJSON, _ := nave(t, "plan", example, "-o", "json")
	var got []struct {
		Cluster   string
		Resources []struct{ Kind, Name string }
	}
	if err := json.Unmarshal([]byte(asJSON), &got); err != nil || len(got) != 6 || len(got[0].Resources) < 6 {
		t.Errorf("%v: %+v", err, got)
	}
	for _, text := range []string{out, asJSON} {
		if strings.Contains(text, "demo-key") {
			t.Error("it shows a key")
		}
	}
}

var update = flag.Bool("update", false, "write the goldens anew")

// TestPlanOfTheExample: what every proxy of the example obeys, as people read it.
func TestPlanOfTheExample(t *testing.T) {
	code, got, problems := nave(t, "plan", example)
	if code != 0 {
		t.Fatal(problems)
	}
	got = regexp.MustCompile(`created=\d+`).ReplaceAllString(got, "created=…") // when it was first read
	const golden = "testdata/three-regions.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLogs(t *testing.T) {
	dir := folder(t, map[string]string{
		".nave/logs/hub.log":     "one\ntwo\nthree\nhalf",
		".nave/logs/spoke-a.log": strings.Repeat("x", 2<<20) + "\nlast\n",
	})
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"-n", "2"}, "hub  two\nhub  three\nspoke-a  last\n", 0},
		{[]string{"hub"}, "hub  one\nhub  two\nhub  three\n", 0},
		{[]string{"-n", "1", "-o", "json"}, `{"process":"hub","line":"three"}` + "\n" + `{"process":"spoke-a","line":"last"}` + "\n", 0},
		{[]string{"-n", "1", "-o", "yaml"}, "- line: three\n  process: hub\n- line: last\n  process: spoke-a\n", 0},
		{[]string{"proxy"}, "", 1},
	} {
		code, out, _ := nave(t, append([]string{"logs", "--dir", dir}, c.args...)...)
		if code != c.code || out != c.want {
			t.Errorf("%v: %d %q", c.args, code, out)
		}
	}
}

// fakeHub answers as a hub would, and gives what it was asked.
func fakeHub(t *testing.T, answer any) (dir string, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		*asked = append(*asked, strings.TrimSpace(r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization")+" "+body.String()))
		if answer == nil {
			http.Error(w, "no such thing", http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	api := `{"api": "` + strings.TrimPrefix(server.URL, "http://") + `"}`
	return folder(t, map[string]string{".nave/run/hub.json": api, ".nave/run/spoke-a.json": api, ".nave/token": "secret\n"}), asked
}

func TestStatusIsShown(t *testing.T) {
	dir, asked := fakeHub(t, report.Status{
		Clusters: []report.Cluster{{Name: "a", Region: "eu", Zone: "2", Lease: "Connected", State: "Ready", Proxies: []report.Proxy{{Ready: true}, {}}},
			{Name: "b", State: "Draining", Drain: &report.Drain{Message: "3 MCP sessions and 1 request left"}},
			{Name: "c", State: "Draining", Drain: &report.Drain{Complete: true}}},
		Gateways: []report.Gateway{{Cluster: "a", Home: "b", Namespace: "n", Name: "g", Listeners: []report.Listener{{Name: "http", URLs: []string{"http://127.0.0.1:80"}}}}},
		Orders:   []report.Order{{Kind: "Cordon", Cluster: "a", Who: "me", Why: "because", Since: time.Unix(1e9, 0), Expires: time.Unix(2e9, 0)}},
		History:  []report.Ordered{{At: time.Unix(1e9, 0), Who: "me", What: "drill start", On: "d\x1b[2J", Refused: "it is Sunday"}},
		Problems: []objects.Problem{{Cluster: "a", File: "f.yaml:3", Object: "HTTPRoute n/r", Field: "spec.x", Message: "is wrong", Remedy: "mend it"},
			{Cluster: "a", File: "d.yaml:1", Object: "Deployment n/d", Message: "is left out here", Severity: objects.SeverityInfo}},
	})
	for _, args := range [][]string{{"status"}, {"status", "--via", "a"}} {
		code, out, problems := nave(t, append(args, "--dir", dir)...)
		for _, want := range []string{"eu, zone 2", "1/2", "Draining (3 MCP sessions and 1 request left)", "Drained", "n/g", "http://127.0.0.1:80", "because", "2033-05-", `drill start  d\x1b[2J`, "refused: it is Sunday",
			"\n\nproblem  clusters/a/f.yaml:3: HTTPRoute n/r: spec.x: is wrong; mend it\nnotice  clusters/a/d.yaml:1: Deployment n/d: is left out here\n"} {
			if code != 0 || !strings.Contains(out, want) {
				t.Errorf("%v: %d, it lacks %q: %s%s", args, code, want, out, problems)
			}
		}
	}
	if len(*asked) != 2 || (*asked)[0] != "GET /api/v1/status Bearer secret" {
		t.Errorf("asked %q", *asked)
	}
}

// What a spoke cannot know it does not say, and it says since when the hub is away.
func TestStatusOfASpoke(t *testing.T) {
	own := report.Cluster{Name: "a", Lease: "Connected", State: "Ready", Heard: time.Now(), Proxies: []report.Proxy{{Ready: true}}}
	s := report.Status{By: "a", Clusters: []report.Cluster{own, {Name: "b", Lease: "Connected", State: "Ready"}}}
	for _, c := range []struct {
		silent bool
		heard  time.Time
		want   string
	}{
		{false, time.Now(), "as far as the spoke of a knows, which hears the hub\n"},
		{true, time.Unix(1e9, 0), "hears nothing of the hub since 2001-09-"},
		{true, time.Time{}, "has not heard the hub since it began\n"},
	} {
		s.HubSilent, s.HubHeard = c.silent, c.heard
		dir, _ := fakeHub(t, s)
		_, out, problems := nave(t, "status", "--via", "a", "--dir", dir)
		if first, _, _ := strings.Cut(out, "\n"); !strings.Contains(first+"\n", c.want) {
			t.Errorf("the first line is %q, not %q %s", first, c.want, problems)
		}
		for _, row := range []string{`a +Connected +Ready +1/1 +0s ago`, `b +Connected +Ready +- +-`} {
			if !regexp.MustCompile(row).MatchString(out) {
				t.Errorf("no row is %q:\n%s", row, out)
			}
		}
	}
}

// A hub that says nothing does not keep who asks.
func TestAHubThatHangs(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hang) })
	dir := folder(t, map[string]string{".nave/run/hub.json": `{"api": "` + strings.TrimPrefix(server.URL, "http://") + `"}`, ".nave/token": "secret\n"})
	began := time.Now()
	code, _, problems := nave(t, "status", "--dir", dir)
	if took := time.Since(began); code != 1 || took > 15*time.Second || !strings.Contains(problems, "no answer within 5s") || !strings.Contains(problems, "--via") {
		t.Errorf("%d after %s: %s", code, took, problems)
	}
}

// Of a fleet that has ended, its files are left: who asks is told how to start it.
func TestAFleetThatHasEnded(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	api := `{"api": "` + strings.TrimPrefix(server.URL, "http://") + `"}`
	dir := folder(t, map[string]string{".nave/run/hub.json": api, ".nave/run/spoke-a.json": api, ".nave/token": "secret\n"})
	for _, args := range [][]string{{"status"}, {"cordon", "a"}, {"latency", "--via", "a"}} {
		if code, _, problems := nave(t, append(args, "--dir", dir)...); code != 1 || !strings.Contains(problems, "start it with `nave up "+dir+"`") {
			t.Errorf("%q: %d: %s", args, code, problems)
		}
	}
}

func TestOrders(t *testing.T) {
	dir, asked := fakeHub(t, map[string]string{})
	t.Setenv("USER", "me")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"cordon", "a", "--why", "w", "--for", "2m"}, `POST /api/v1/orders Bearer secret {"cluster":"a","seconds":120,"verb":"cordon","who":"me","why":"w"}`},
		{[]string{"undrain", "a"}, `POST /api/v1/orders Bearer secret {"cluster":"a","verb":"undrain","who":"me","why":""}`},
		{[]string{"freeze", "--for", "1500ms"}, `POST /api/v1/orders Bearer secret {"seconds":2,"verb":"freeze","who":"me","why":""}`},
		{[]string{"token", "create", "--cluster", "a"}, `POST /api/v1/tokens Bearer secret {"cluster":"a","who":"me"}`},
		{[]string{"freeze"}, `POST /api/v1/orders Bearer secret {"verb":"freeze","who":"me","why":""}`},
		{[]string{"cluster", "revoke", "a"}, `POST /api/v1/clusters/a/revoke Bearer secret {"who":"me"}`},
		{[]string{"drill", "start", "d"}, `POST /api/v1/drills/d/start Bearer secret {"who":"me"}`},
		{[]string{"explain", "ns/b", "--from", "a"}, `GET /api/v1/explain?backend=ns%2Fb&from=a Bearer secret`},
	} {
		*asked = nil
		nave(t, append(c.args, "--dir", dir)...)
		if len(*asked) != 1 || (*asked)[0] != c.want {
			t.Errorf("%v asks %q, want %q", c.args, *asked, c.want)
		}
	}
	dir, _ = fakeHub(t, map[string]any{"done": "freeze", "state": "Frozen", "ended": []any{}, "token": "t"})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"freeze"}, "automation is frozen\n"},
		{[]string{"freeze", "-o", "yaml"}, "done: freeze"},
		{[]string{"token", "create", "--cluster", "a"}, "t\n"},
		{[]string{"token", "create", "--cluster", "a", "-o", "json"}, `"token": "t"`},
		{[]string{"version", "-o", "json"}, `"version": `},
	} {
		if code, out, problems := nave(t, append(c.args, "--dir", dir)...); code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%v: %d %q %s", c.args, code, out, problems)
		}
	}
	dir, asked = fakeHub(t, map[string]string{})
	if code, _, problems := nave(t, "cordon", "a", "-o", "xml", "--dir", dir); code != 2 || len(*asked) != 0 {
		t.Errorf("an order whose output cannot be: %d %s, the hub was asked %q", code, problems, *asked)
	}
	refusing, _ := fakeHub(t, nil)
	if code, _, problems := nave(t, "drain", "a", "--dir", refusing); code != 1 || !strings.Contains(problems, "no such thing") {
		t.Errorf("a refusal: %d %q", code, problems)
	}
}

func TestOutcomes(t *testing.T) {
	until := time.Now().Add(time.Hour)
	ann := report.Order{Kind: "Cordon", Who: "ann", Why: "upgrade"}
	for _, c := range []struct {
		args []string
		done report.Done
		want string
	}{
		{[]string{"cordon", "a"}, report.Done{Done: "cordon", Cluster: "a", State: "Cordoned", Until: until, Why: "patching"}, "a is cordoned until " + until.Format("15:04:05") + " (patching)"},
		{[]string{"cordon", "a"}, report.Done{Done: "cordon", Cluster: "a", State: "Draining", Ended: []report.Order{ann}}, "a is cordoned, and draining besides; this replaces the order of ann (upgrade)"},
		{[]string{"uncordon", "a"}, report.Done{Done: "uncordon", Cluster: "a", State: "Ready"}, "a was not cordoned"},
		{[]string{"uncordon", "a"}, report.Done{Done: "uncordon", Cluster: "a", State: "Ready", Ended: []report.Order{ann, {Kind: "Drain"}, ann}}, "a is no longer cordoned and draining"},
		{[]string{"undrain", "a"}, report.Done{Done: "undrain", Cluster: "a", State: "Cordoned", Ended: []report.Order{{Kind: "Drain"}}}, "a is no longer draining by order; it is still cordoned, as declared or ordered otherwise"},
		{[]string{"unfreeze"}, report.Done{Done: "unfreeze", State: "Enabled"}, "automation was not frozen"},
		{[]string{"confirm", "a"}, report.Done{Done: "confirm", Cluster: "a", State: "Ready"}, "a is given what was held back"},
	} {
		dir, _ := fakeHub(t, c.done)
		if code, out, problems := nave(t, append(c.args, "--dir", dir)...); code != 0 || out != c.want+"\n" {
			t.Errorf("%v says %q %s, want %q", c.args, out, problems, c.want)
		}
	}
}

func TestDrillsThatWouldBeRefused(t *testing.T) {
	frozen := v1alpha1.DrillCheck{Name: "not frozen", Message: "automation is frozen"}
	dir, _ := fakeHub(t, v1alpha1.DrillStatus{Phase: "Pending", Preflight: []v1alpha1.DrillCheck{frozen, {Name: "alone", Passed: true}}})
	if code, out, problems := nave(t, "drill", "preview", "d", "--dir", dir); code != 1 || !strings.Contains(out, "check NO") || !strings.Contains(problems, "not frozen") || strings.Contains(problems, "alone") {
		t.Errorf("preview: %d %s%s", code, out, problems)
	}
	dir, _ = fakeHub(t, v1alpha1.DrillStatus{Phase: "Done", Verdict: "PASS", Preflight: []v1alpha1.DrillCheck{frozen}, Refusal: &v1alpha1.DrillRefusal{Checks: []v1alpha1.DrillCheck{frozen}}})
	if code, out, problems := nave(t, "drill", "report", "d", "--dir", dir); code != 0 || !strings.Contains(out, "PASS") || !regexp.MustCompile("refused at .*not frozen +automation is frozen").MatchString(out) {
		t.Errorf("report: %d %s%s", code, out, problems)
	}
}

func TestAudit(t *testing.T) {
	dir := folder(t, map[string]string{".nave/x": ""})
	if code, _, problems := nave(t, "audit", "show", "--dir", dir); code != 1 || !strings.Contains(problems, "nave up") {
		t.Errorf("without a log: %d %s", code, problems)
	}
	path := filepath.Join(dir, ".nave", "audit.jsonl")
	log, err := audit.Open(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []audit.Entry{{Who: "ann", What: "cordon", On: "west", Why: "patching"}, {Who: "ben", What: "freeze", Why: "say \"no\"! \x1b[2J"}} {
		if err := log.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"show"}, "ann  cordon  west  patching\n"},
		{[]string{"show", "-o", "json", "-n", "1"}, `"who": "ben"`},
		{[]string{"show"}, `ben  freeze        say "no"! \x1b[2J`},
		{[]string{"show", "-n", "0", "-o", "json"}, `[]`},
		{[]string{"verify"}, "2 orders hold\n"},
		{[]string{"verify", "-o", "json"}, `"orders": 2`},
	} {
		if code, out, problems := nave(t, append(append([]string{"audit"}, c.args...), "--dir", dir)...); code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%v: %d %q %s", c.args, code, out, problems)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(data, []byte("ann"), []byte("eve"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, problems := nave(t, "audit", "verify", "--dir", dir); code != 1 || !strings.Contains(problems, "line 1") {
		t.Errorf("a log that was changed: %d %s", code, problems)
	}
}
