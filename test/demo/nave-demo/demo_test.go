package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/test/load"
)

const example = "../../../docs/examples/three-regions"

// TestPrepare: a copy of the example is good YAML of known kinds, with real
// providers where there is a key.
func TestPrepare(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want []string
	}{
		{"simulators", nil, []string{"agents-westus2.services.ai.azure.com", "Authorization: demo-key-westus2"}},
		{"an Azure key without an endpoint", map[string]string{"AZURE_FOUNDRY_API_KEY": "k"}, []string{"demo-key-westus2"}},
		{"Azure", map[string]string{"AZURE_FOUNDRY_API_KEY": "k", "AZURE_FOUNDRY_ENDPOINT": "https://x.services.ai.azure.com/"}, []string{`endpoint: "x.services.ai.azure.com"`, "Authorization: $AZURE_FOUNDRY_API_KEY"}},
		{"OpenAI", map[string]string{"OPENAI_API_KEY": "k"}, []string{"openai: {model: gpt-5.4-mini}", "$OPENAI_API_KEY"}},
		{"Anthropic", map[string]string{"ANTHROPIC_API_KEY": "k"}, []string{"anthropic: {model: claude-haiku-4-5}"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, p := range providers {
				t.Setenv(p.key, c.env[p.key])
				if p.endpoint != "" {
					t.Setenv(p.endpoint, c.env[p.endpoint])
				}
			}
			f := &fleet{dir: t.TempDir()}
			if err := f.prepare(example); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(filepath.Join(f.dir, "clusters", "westus2", "model.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(string(data), want) {
					t.Errorf("model.yaml does not hold %q:\n%s", want, data)
				}
			}
			decode(t, f.dir)
		})
	}
}

// decode reads every manifest of a folder as its spoke would.
func decode(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "clusters", "*", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no manifests", err)
	}
	for _, file := range files {
		if filepath.Base(file) == "processes.yaml" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		list, problems := objects.Decode(file, data, objects.Options{Cluster: "c", Env: os.LookupEnv})
		if len(list) == 0 || len(problems) > 0 {
			t.Errorf("%s: %d objects, problems %v", file, len(list), problems)
		}
	}
}

func TestJudge(t *testing.T) {
	lostAt := time.Unix(1000, 0)
	good := course{lost: lostAt, restored: lostAt.Add(20 * time.Second), returned: lostAt.Add(30 * time.Second)}
	good.status.Verdict = v1alpha1.VerdictPass
	by := func(cluster string, n int, end time.Duration, f load.Fate) []load.Result {
		var out []load.Result
		for range n {
			out = append(out, load.Result{Kind: load.Chat, Scheduled: lostAt.Add(end - 100*time.Millisecond), Ended: lostAt.Add(end), Cluster: cluster, Fate: f})
		}
		return out
	}
	before := by(lostRegion, 60, -time.Second, load.Served)
	for _, c := range []struct {
		name     string
		course   course
		results  []load.Result
		inFlight int
		invalid  bool
		want     string // "" for a pass
	}{
		{"nothing lost", good, before, 10, false, ""},
		{"a stream that had begun, a call with an effect", good, append(by(lostRegion, 1, 50*time.Millisecond, load.Cut), append(before, by("", 1, time.Second, load.Unrepeated)...)...), 10, false, ""},
		{"one lost", good, append(by("", 1, time.Second, load.Lost), before...), 10, false, "1 requests were lost"},
		{"too few in flight", good, before, 9, true, "9 requests were in flight"},
		{"too small a share", good, append(by("southcentralus", 80, -time.Second, load.Served), before...), 10, true, "served 42 %"},
		{"never lost", course{}, before, 10, true, "the drill"},
		{"the drill found something", course{lost: lostAt, restored: good.restored, returned: good.returned, status: v1alpha1.DrillStatus{Verdict: v1alpha1.VerdictFail, Findings: []string{"slow"}}}, before, 10, false, "FAIL: slow"},
		{"traffic stays away", course{lost: lostAt, restored: good.restored, status: good.status}, before, 10, false, "did not come back"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := judge(c.course, c.results, load.Sessions{}, c.inFlight, "")
			err := j.verdict()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || errors.Is(err, errInvalid) != c.invalid {
				t.Errorf("got %v, want %q, invalid %t", err, c.want, c.invalid)
			}
			var out strings.Builder
			j.print(&out)
			if !strings.Contains(out.String(), "who served what") {
				t.Errorf("printed %q", out.String())
			}
		})
	}
}

func TestWatcher(t *testing.T) {
	at := time.Unix(1000, 0)
	w := &watcher{samples: []sample{{at, 3}, {at.Add(time.Second), 12}, {at.Add(time.Minute), 1}}}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, -1}, {500 * time.Millisecond, 3}, {1100 * time.Millisecond, 12}, {30 * time.Second, -1}} {
		if got := w.before(at.Add(c.after)); got != c.want {
			t.Errorf("after %s: %d, want %d", c.after, got, c.want)
		}
	}
}
