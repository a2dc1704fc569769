package rehearse_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/probe"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/drill"
	"github.com/navehq/nave/hub/rehearse"
)

// world is a fleet of west and east, with one prober in east.
type world struct {
	mu     sync.Mutex
	did    []string
	lost   bool
	start  time.Time
	refuse error
}

func (w *world) log(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.did = append(w.did, what)
}

func (w *world) ask(_ context.Context, cluster, path string, body []byte) ([]byte, error) {
	if path != probe.AskReport {
		w.log(path + " " + cluster)
		w.start = time.Now()
		return []byte("{}"), nil
	}
	var since probe.Since
	if err := json.Unmarshal(body, &since); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	served := "west"
	if w.lost {
		served = "east"
	}
	now := time.Now().Truncate(probe.Width)
	report := probe.Report{Clock: time.Now(), Buckets: []probe.Bucket{{At: now, Served: map[string]int64{served: 4}}}}
	return json.Marshal(report)
}

func (w *world) rehearsals(d *v1alpha1.Drill) *rehearse.Rehearsals {
	return rehearse.New(w.options(d), nil)
}

func (w *world) options(d *v1alpha1.Drill) rehearse.Options {
	return rehearse.Options{
		Facts: func() drill.Facts {
			ready := func(name string) drill.ClusterFact {
				return drill.ClusterFact{Name: name, Region: name, Lease: assignment.Connected, State: table.PeerReady, Proxies: 1}
			}
			return drill.Facts{Supervised: true, Clusters: []drill.ClusterFact{ready("east"), ready("west")}}
		},
		Find: func(name string) (*v1alpha1.Drill, bool) { return d, d.Name == name },
		Ask:  w.ask,
		Lose: func(_ context.Context, _ v1alpha1.DrillMode, cluster, _ string, _ time.Duration) error {
			w.log("lose " + cluster)
			w.lost = w.refuse == nil
			return w.refuse
		},
		Restore: func(_ context.Context, _ v1alpha1.DrillMode, cluster string) error {
			w.log("restore " + cluster)
			w.lost = false
			return nil
		},
		Keep: func(string, v1alpha1.DrillStatus) {},
		Log:  slog.New(slog.DiscardHandler), Now: time.Now,
	}
}

func loseWest() *v1alpha1.Drill {
	return &v1alpha1.Drill{ObjectMeta: metav1.ObjectMeta{Name: "d"}, Spec: v1alpha1.DrillSpec{
		Target: v1alpha1.DrillTarget{Kind: v1alpha1.DrillTargetCluster, Name: "west"}, Mode: v1alpha1.DrillModeKill, Duration: "5s",
	}}
}

func TestARunGoesItsCourse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		r := w.rehearsals(loseWest())
		if _, err := r.Start(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Start(t.Context(), "d"); !errors.Is(err, rehearse.ErrRunning) {
			t.Errorf("a second start gives %v, want ErrRunning", err)
		}
		r.Wait()
		s, err := r.Report("d")
		if err != nil {
			t.Fatal(err)
		}
		if s.Verdict != v1alpha1.VerdictPass || s.Report.TimeToFailback == nil || s.Report.Requests.OK == 0 {
			t.Errorf("verdict %s, findings %v, report %+v", s.Verdict, s.Findings, s.Report)
		}
		want := []string{"probe/start east", "lose west", "restore west", "probe/stop east"}
		if !slices.Equal(w.did, want) {
			t.Errorf("did %v, want %v", w.did, want)
		}
	})
}

func TestAbortGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		r := w.rehearsals(loseWest())
		if _, err := r.Start(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) // virtual
		if err := r.Abort("d", "enough"); err != nil {
			t.Fatal(err)
		}
		r.Wait()
		s, _ := r.Report("d")
		if s.Verdict != v1alpha1.VerdictAborted || !slices.Contains(w.did, "restore west") {
			t.Errorf("verdict %s after %v", s.Verdict, w.did)
		}
		if err := r.Abort("d", "again"); !errors.Is(err, rehearse.ErrIdle) {
			t.Errorf("aborting what has ended gives %v", err)
		}
	})
}

func TestTheHubsEndGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		r := w.rehearsals(loseWest())
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := r.Start(ctx, "d"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) // virtual
		cancel()
		r.Wait()
		if !slices.Contains(w.did, "restore west") {
			t.Errorf("did %v, and nothing is given back", w.did)
		}
	})
}

func TestALossThatFailsIsInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{refuse: errors.New("no supervisor")}
		r := w.rehearsals(loseWest())
		if _, err := r.Start(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
		r.Wait()
		if s, _ := r.Report("d"); s.Verdict != v1alpha1.VerdictInvalid {
			t.Errorf("verdict %s, want INVALID", s.Verdict)
		}
	})
}

// What was measured stays, and a start that is refused stands beside it, also over
// a restart; the next run is without it.
func TestARefusedStartIsNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		kept := map[string]v1alpha1.DrillStatus{}
		facts := true
		d := loseWest()
		o := w.options(d)
		all := o.Facts
		o.Facts = func() drill.Facts {
			f := all()
			f.Supervised = facts
			return f
		}
		o.Keep = func(name string, s v1alpha1.DrillStatus) { kept[name] = s }
		r := rehearse.New(o, nil)
		refuse := func(number int64, verdict v1alpha1.DrillVerdict) {
			t.Helper()
			facts = false
			_, err := r.Start(t.Context(), "d")
			var refused *rehearse.RefusedError
			if !errors.As(err, &refused) || len(refused.Checks) != 1 || refused.Checks[0].Name != "supervisor" || !strings.Contains(err.Error(), refused.Checks[0].Message) {
				t.Fatalf("a start that must be refused: %v", err)
			}
			s, err := r.Report("d")
			if err != nil || s.Run != number || s.Verdict != verdict || s.Refusal == nil || (s.Report != nil) != (number > 0) {
				t.Errorf("after the refusal there is %+v, %v", s, err)
			}
			r = rehearse.New(o, kept)
			if s, err := r.Report("d"); err != nil || s.Verdict != verdict || s.Refusal == nil {
				t.Errorf("over a restart: %+v, %v", s, err)
			}
			facts = true
		}
		refuse(0, "")
		for number := range int64(2) {
			if _, err := r.Start(t.Context(), "d"); err != nil {
				t.Fatal(err)
			}
			r.Wait()
			if s, _ := r.Report("d"); s.Run != number+1 || s.Refusal != nil {
				t.Errorf("run %d: %+v", number+1, s)
			}
			refuse(number+1, v1alpha1.VerdictPass)
		}
	})
}

func TestUnknownDrills(t *testing.T) {
	r := (&world{}).rehearsals(loseWest())
	if _, err := r.Start(t.Context(), "x"); !errors.Is(err, rehearse.ErrUnknown) {
		t.Errorf("start: %v", err)
	}
	if err := r.Abort("x", "no"); !errors.Is(err, rehearse.ErrUnknown) {
		t.Errorf("abort: %v", err)
	}
	if _, err := r.Preview("x"); !errors.Is(err, rehearse.ErrUnknown) {
		t.Errorf("preview: %v", err)
	}
	if s, err := r.Preview("d"); err != nil || len(s.Preflight) == 0 {
		t.Errorf("preview: %v %v", s, err)
	}
}
