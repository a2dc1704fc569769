package drill_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/probe"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/drill"
)

var update = flag.Bool("update", false, "rewrite the transcripts")

// script runs one transcript. Its lines are commands at a time in seconds:
//
//	at 0 begin                          the run begins; facts are as set before
//	at 3.1 done lose                    an action was carried out
//	traffic 0..3 west=10 east=0 open=west:2 slowest=40ms   each bucket of that span
//	set cluster east lost|cordoned      facts before the run begins
type script struct {
	t       *testing.T
	run     drill.Run
	facts   drill.Facts
	start   time.Time
	buckets []probe.Bucket
	out     strings.Builder
}

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			archive := txtar.Parse(data)
			got := runScript(t, section(archive, "drill.yaml"), section(archive, "script"))
			if *update {
				setSection(archive, "transcript", got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(section(archive, "transcript"), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func section(a *txtar.Archive, name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func setSection(a *txtar.Archive, name, content string) {
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = []byte(content)
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(content)})
}

func runScript(t *testing.T, declared, commands string) string {
	t.Helper()
	var d v1alpha1.Drill
	if err := yaml.UnmarshalStrict([]byte(declared), &d); err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, run: drill.New(&d, 1), start: time.Unix(1e9, 0).UTC(), facts: drill.Facts{Supervised: true}}
	for _, name := range []string{"east", "south", "west"} {
		s.facts.Clusters = append(s.facts.Clusters, drill.ClusterFact{Name: name, Region: name, Lease: assignment.Connected, State: table.PeerReady, Proxies: 2})
	}
	for line := range strings.Lines(commands) {
		if line = strings.TrimSpace(line); line != "" {
			s.command(line)
		}
	}
	s.print()
	return s.out.String()
}

func (s *script) at(text string) time.Time {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.t.Fatalf("%q is no number of seconds", text)
	}
	return s.start.Add(time.Duration(seconds * float64(time.Second)))
}

func (s *script) command(line string) {
	words := strings.Fields(line)
	switch words[0] {
	case "set":
		s.set(words[1:])
	case "traffic":
		s.traffic(words[1], words[2:])
	case "at":
		now := s.at(words[1])
		s.step(line, s.event(now, words[2:]))
	default:
		s.t.Fatalf("%q is no command", line)
	}
}

func (s *script) set(words []string) {
	switch words[0] {
	case "frozen":
		s.facts.Frozen = true
	case "unsupervised":
		s.facts.Supervised = false
	case "other":
		s.facts.Other = words[1]
	case "cluster":
		for i := range s.facts.Clusters {
			if c := &s.facts.Clusters[i]; c.Name == words[1] {
				switch words[2] {
				case "lost":
					c.Lease = assignment.Lost
				case "cordoned":
					c.State = table.PeerCordoned
				}
			}
		}
	}
}

// traffic sets the buckets of a span of seconds.
func (s *script) traffic(span string, words []string) {
	from, to, _ := strings.Cut(span, "..")
	for at := s.at(from); at.Before(s.at(to)); at = at.Add(probe.Width) {
		b := probe.Bucket{At: at, Served: map[string]int64{}, OpenAt: map[string]int64{}}
		for _, w := range words {
			name, value, _ := strings.Cut(w, "=")
			n, _ := strconv.ParseInt(value, 10, 64)
			switch name {
			case "retried":
				b.Retried = n
			case "failed":
				b.Failed = n
			case "lost":
				b.Lost = n
			case "reinitialised":
				b.Reinitialised = n
			case "slowest":
				b.Slowest, _ = time.ParseDuration(value)
			case "open":
				cluster, count, _ := strings.Cut(value, ":")
				b.Open, _ = strconv.ParseInt(count, 10, 64)
				b.OpenAt[cluster] = b.Open
			default:
				b.Served[name] = n
			}
		}
		s.buckets = append(s.buckets, b)
	}
}

func (s *script) event(now time.Time, words []string) drill.Event {
	switch words[0] {
	case "begin":
		return drill.Begin{Now: now, Facts: s.facts}
	case "seen":
		return drill.Seen{Now: now, Buckets: s.buckets}
	case "tick":
		return drill.Tick{Now: now}
	case "abort":
		return drill.Abort{Now: now, Why: strings.Join(words[1:], " ")}
	case "done":
		return drill.Done{Now: now, Action: drill.Action(words[1])}
	case "fails":
		return drill.Done{Now: now, Action: drill.Action(words[1]), Err: errors.New(strings.Join(words[2:], " "))}
	}
	s.t.Fatalf("%v is no event", words)
	return nil
}

func (s *script) step(line string, e drill.Event) {
	var actions []drill.Action
	s.run, actions = drill.Step(s.run, e)
	fmt.Fprintf(&s.out, "%s\n  %s", line, s.run.Status.Phase)
	for _, a := range actions {
		fmt.Fprintf(&s.out, ", do: %s", a)
	}
	s.out.WriteString("\n")
}

func (s *script) print() {
	st := s.run.Status
	for _, c := range st.Preflight {
		mark := "ok"
		if !c.Passed {
			mark = "no"
		}
		fmt.Fprintf(&s.out, "check %s: %s: %s\n", mark, c.Name, c.Message)
	}
	for _, e := range st.Timeline {
		fmt.Fprintf(&s.out, "+%.1fs %s: %s\n", e.At.Sub(s.start).Seconds(), e.Event, e.Message)
	}
	if r := st.Report; r != nil {
		fmt.Fprintf(&s.out, "detect %s, shift %s, failback %s, slowest %s\n", span(r.TimeToDetect), span(r.TimeToShift), span(r.TimeToFailback), span(r.MaxLatency))
		fmt.Fprintf(&s.out, "requests %+v, in flight %d, share before %d %%, sessions anew %d\n", r.Requests, r.InFlightAtLoss, r.SharePercentBefore, r.SessionsReinitialised)
	}
	fmt.Fprintf(&s.out, "%s: %s\n", st.Verdict, strings.Join(st.Findings, "; "))
}

func span(d *metav1.Duration) string {
	if d == nil {
		return "-"
	}
	return d.Duration.Round(time.Millisecond).String()
}
