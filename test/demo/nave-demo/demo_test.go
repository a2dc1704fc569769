package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/test/load"
	"github.com/navehq/nave/test/standalone"
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
	took := func(d time.Duration) []load.Result {
		return []load.Result{{Kind: load.Chat, Scheduled: lostAt.Add(-100 * time.Millisecond), Ended: lostAt.Add(d - 100*time.Millisecond), Cluster: "southcentralus"}}
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
		{"a stream that was cut before the loss", good, append(by(lostRegion, 1, -2*time.Second, load.Cut), before...), 10, false, "1 requests were lost"},
		{"a call not repeated long after the loss", good, append(by("", 1, 10*time.Second, load.Unrepeated), before...), 10, false, "1 requests were lost"},
		{"one too slow", good, append(took(3*time.Second+time.Millisecond), before...), 10, false, "took 3.001s, longer than 3s"},
		{"one just in time", good, append(took(3*time.Second), before...), 10, false, ""},
		{"a session with another id", good, before, 10, false, "1 of 21 MCP sessions"},
		{"too few in flight", good, before, 9, true, "9 requests were in flight"},
		{"too small a share", good, append(by("southcentralus", 80, -time.Second, load.Served), before...), 10, true, "served 42 %"},
		{"never lost", course{}, before, 10, true, "the drill"},
		{"the drill found something", course{lost: lostAt, restored: good.restored, returned: good.returned, status: v1alpha1.DrillStatus{Verdict: v1alpha1.VerdictFail, Findings: []string{"slow"}}}, before, 10, false, "FAIL: slow"},
		{"traffic stays away", course{lost: lostAt, restored: good.restored, status: good.status}, before, 10, false, "did not come back"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sessions := load.Sessions{All: 21}
			if strings.Contains(c.name, "another id") {
				sessions.Changed = 1
			}
			j := judge(c.course, c.results, sessions, c.inFlight, "")
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

// TestInFlight: where only clients can count, a region has its share of what they
// waited for.
func TestInFlight(t *testing.T) {
	lostAt := time.Unix(1000, 0)
	var results []load.Result
	add := func(n int, cluster string, end time.Duration) {
		for range n {
			results = append(results, load.Result{Kind: load.Chat, Scheduled: lostAt.Add(-time.Second), Ended: lostAt.Add(end), Cluster: cluster})
		}
	}
	add(60, lostRegion, -100*time.Millisecond)
	add(40, "southcentralus", -100*time.Millisecond)
	add(15, "southcentralus", 100*time.Millisecond)
	if j := judge(course{lost: lostAt}, results, load.Sessions{}, -1, "a provider"); j.inFlight != 9 {
		t.Errorf("%d in flight, want 60 %% of 15", j.inFlight)
	}
	if j := judge(course{lost: lostAt}, results, load.Sessions{}, 12, ""); j.inFlight != 12 {
		t.Errorf("%d in flight, want what the simulator counts", j.inFlight)
	}
}

func TestOutcome(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{nil, 0, "PASS"},
		{errors.New("2 requests were lost"), 1, "FAIL: 2 requests were lost"},
		{fmt.Errorf("%w: too little", errInvalid), 3, "INVALID: too little"},
	} {
		if code, text := outcome(c.err); code != c.code || !strings.HasPrefix(text, c.text) {
			t.Errorf("%v: %d %q, want %d %q", c.err, code, text, c.code, c.text)
		}
	}
}

// TestLife: the whole ends within three minutes, whatever happens.
func TestLife(t *testing.T) {
	if whole := life + load.Farewell + standalone.Farewell; whole >= 3*time.Minute {
		t.Errorf("it may take %s", whole)
	}
}
