package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/test/load"
)

// phase is a part of the run.
type phase struct {
	name string
	// from and to bound when its requests ended.
	from, to time.Time
}

// judgement is what the run came to.
type judgement struct {
	course  course
	phases  []phase
	results []load.Result
	// share is what the region served just before the loss, percent; inFlight
	// what was in flight there, by its own count where it has one, else its share
	// of what clients waited for.
	share, inFlight int
	// slowest met the loss.
	slowest  time.Duration
	fates    map[load.Fate]int
	sessions load.Sessions
}

// dated is by how much a drill may date a loss too late: it does so when the
// last process has been killed.
const dated = time.Second

func judge(d course, results []load.Result, sessions load.Sessions, inFlight int, real string) judgement {
	if !d.lost.IsZero() {
		results = load.Held(results, load.Loss{From: d.lost.Add(-dated), To: d.lost})
	}
	j := judgement{course: d, results: results, inFlight: inFlight, fates: map[load.Fate]int{}, sessions: sessions}
	j.phases = phases(d)
	recent, there, open := 0, 0, 0
	for _, r := range results {
		j.fates[r.Fate]++
		if r.Ended.Before(d.lost) && r.Ended.After(d.lost.Add(-2*time.Second)) {
			recent++
			if r.Cluster == lostRegion {
				there++
			}
		}
		if r.Scheduled.Before(d.lost) && r.Ended.After(d.lost) {
			open++
		}
		if r.Ended.After(d.lost) && r.Scheduled.Before(d.restored) {
			j.slowest = max(j.slowest, r.Took())
		}
	}
	if recent > 0 {
		j.share = 100 * there / recent
	}
	if real != "" {
		j.inFlight = open * j.share / 100
	}
	return j
}

// phases are those that the run came to.
func phases(d course) []phase {
	out := []phase{{name: "before"}}
	for _, next := range []phase{{name: "during the loss", from: d.lost}, {name: "while it returns", from: d.restored}, {name: "after failback", from: d.returned}} {
		if next.from.IsZero() {
			break
		}
		out[len(out)-1].to = next.from
		out = append(out, next)
	}
	out[len(out)-1].to = time.Now().Add(time.Hour)
	return out
}

// verdict is nil where nothing was lost.
func (j judgement) verdict() error {
	why := strings.Join(j.course.status.Findings, "; ")
	switch verdict := j.course.status.Verdict; {
	case j.course.lost.IsZero() || verdict == v1alpha1.VerdictInvalid:
		return fmt.Errorf("%w: the drill: %s", errInvalid, why)
	case j.share < leastShare:
		return fmt.Errorf("%w: %s served %d %% of the traffic when it was lost, less than %d %%", errInvalid, lostRegion, j.share, leastShare)
	case j.inFlight < leastInFlight:
		return fmt.Errorf("%w: %d requests were in flight at %s when it was lost, fewer than %d", errInvalid, j.inFlight, lostRegion, leastInFlight)
	case j.fates[load.Lost] > 0:
		return fmt.Errorf("%d requests were lost", j.fates[load.Lost])
	case j.slowest > longest:
		return fmt.Errorf("the slowest request that met the loss took %s, longer than %s", j.slowest.Round(time.Millisecond), longest)
	case j.sessions.Changed > 0:
		return fmt.Errorf("%d of %d MCP sessions have another id", j.sessions.Changed, j.sessions.All)
	case verdict != v1alpha1.VerdictPass:
		return fmt.Errorf("the drill's verdict is %s: %s", verdict, why)
	case j.course.returned.IsZero():
		return fmt.Errorf("traffic did not come back to %s", lostRegion)
	}
	return nil
}

// print writes who served what, and what clients saw.
func (j judgement) print(w io.Writer) {
	fmt.Fprintf(w, "\nwhen %s was lost it served %d %% of the traffic, with %d requests in flight there\n", lostRegion, j.share, j.inFlight)
	fmt.Fprintln(w, "\nwho served what, and how long it took from the scheduled time:")
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "\trequests\tp50\tp99\tslowest\tserved by")
	for _, p := range j.phases {
		fmt.Fprintf(t, "%s\n", p.name)
		for _, k := range load.Kinds {
			j.row(t, p, k)
		}
	}
	_ = t.Flush() // to the terminal
	fmt.Fprintf(w, "\nof %d requests: %d served, %d lost", len(j.results), j.fates[load.Served], j.fates[load.Lost])
	fmt.Fprintf(w, "; %d streams were cut after they had begun, and said so; %d calls with an effect were under way and not sent again\n", j.fates[load.Cut], j.fates[load.Unrepeated])
	fmt.Fprintf(w, "the slowest request that met the loss took %s\n", j.slowest.Round(time.Millisecond))
	fmt.Fprintf(w, "MCP: %d of %d sessions kept their id; in %d the server's own counter began anew\n", j.sessions.All-j.sessions.Changed, j.sessions.All, j.sessions.Restarts)
	shown := 0
	for _, r := range j.results {
		if r.Fate != load.Served && shown < 10 {
			shown++
			fmt.Fprintf(w, "  %s %s after %s: %v\n", r.Scheduled.Format("15:04:05.000"), r.Kind, r.Took().Round(time.Millisecond), r.Err)
		}
	}
}

func (j judgement) row(w io.Writer, p phase, k load.Kind) {
	var took []time.Duration
	by := map[string]int{}
	for _, r := range j.results {
		if r.Kind != k || r.Ended.Before(p.from) || !r.Ended.Before(p.to) {
			continue
		}
		took = append(took, r.Took())
		if r.Fate == load.Served {
			by[cmp.Or(r.Cluster, "?")]++
		}
	}
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))].Round(time.Millisecond) }
	clusters := slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Compare(by[b], by[a]) })
	var who []string
	for _, c := range clusters {
		who = append(who, fmt.Sprintf("%s %d", c, by[c]))
	}
	fmt.Fprintf(w, "  %s\t%d\t%s\t%s\t%s\t%s\n", k, len(took), at(0.5), at(0.99), at(1), strings.Join(who, ", "))
}
