package supervise

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/report"
)

const (
	// askEvery is how often the hub is asked what there is to say, and maxReport
	// what of its answer is read, bytes.
	askEvery  = 500 * time.Millisecond
	maxReport = 64 << 20
	// patience is how often in a row a notice must be seen to be worth saying, and
	// a problem missed to be called solved: a hub that comes back hears of it anew.
	patience = 4
	// most is how many lines of one kind are said at once.
	most = 10
)

// said is what people were told of: gateways by their lines, problems by how
// often they were missed since.
type said struct {
	gateways map[string]string
	problems map[string]standing
	// waiting notices are those not said yet, by how often they were seen.
	waiting map[string]int
	// before are the gateways a moment ago: while proxies come up, nothing is said.
	before map[string]string
}

// standing is a problem that people were told of.
type standing struct {
	reason string
	missed int
}

func newSaid() *said {
	return &said{gateways: map[string]string{}, problems: map[string]standing{}, waiting: map[string]int{}}
}

// narrate prints where each gateway answers and what people must mend, when it
// comes and when it is mended, until ctx ends.
func (s *Supervisor) narrate(ctx context.Context) error {
	told := newSaid()
	var status report.Status
	client := &http.Client{Timeout: 5 * time.Second}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var now report.Status
		if err := ask(ctx, client, "http://"+s.ports.api+"/api/v1/status", &now); err != nil {
			s.opts.Log.Debug("ask the hub for its status", "err", err)
		} else {
			status = now
		}
		// The hub may be gone, or not know yet.
		all := status
		all.Problems = slices.Concat(s.problems.list(), status.Problems)
		for _, line := range told.news(all) {
			s.out.print("%s", line)
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s: %s", url, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxReport)).Decode(into)
}

// news are the lines that were not said yet.
func (t *said) news(status report.Status) []string {
	var out []string
	gateways := map[string]string{}
	for _, g := range status.Gateways {
		for _, l := range g.Listeners {
			name := fmt.Sprintf("%s/%s in %s, listener %s", g.Namespace, g.Name, g.Cluster, l.Name)
			gateways[name] = strings.Join(l.URLs, " ")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(gateways)) {
		urls := gateways[name]
		if urls == t.before[name] && urls != t.gateways[name] {
			t.gateways[name] = urls
			out = append(out, fmt.Sprintf("gateway  %s: %s", name, urls))
		}
	}
	t.before = gateways
	return append(out, t.changes(status.Problems)...)
}

// changes are the lines on problems that came, and on those that are mended.
func (t *said) changes(problems []objects.Problem) []string {
	var out folded
	there, waiting := map[string]bool{}, map[string]int{}
	for _, p := range problems {
		line := report.Line(p)
		if there[line] {
			continue
		}
		there[line] = true
		_, known := t.problems[line]
		if !known && p.Severity == objects.SeverityInfo && t.waiting[line]+1 < patience {
			waiting[line] = t.waiting[line] + 1
			continue
		}
		if !known {
			out.add(severity(p), p.Reason, line)
		}
		t.problems[line] = standing{reason: p.Reason}
	}
	t.waiting = waiting
	for _, line := range slices.Sorted(maps.Keys(t.problems)) {
		if there[line] {
			continue
		}
		s := t.problems[line]
		if s.missed++; s.missed < patience {
			t.problems[line] = s
			continue
		}
		delete(t.problems, line)
		out.add("solved ", s.reason, line)
	}
	return out.text()
}

// folded are lines of which only so many of one kind are said at once.
type folded struct {
	lines  []string
	counts map[[2]string]int
}

func (f *folded) add(label, reason, line string) {
	if f.counts == nil {
		f.counts = map[[2]string]int{}
	}
	kind := [2]string{label, reason}
	if f.counts[kind]++; f.counts[kind] <= most {
		f.lines = append(f.lines, label+"  "+line)
	}
}

func (f *folded) text() []string {
	out := f.lines
	for _, kind := range slices.SortedFunc(maps.Keys(f.counts), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		if n := f.counts[kind] - most; n > 0 {
			out = append(out, fmt.Sprintf("%s  and %d more with the reason %s; `nave status` shows what stands", kind[0], n, kind[1]))
		}
	}
	return out
}

func severity(p objects.Problem) string {
	if p.Severity == objects.SeverityInfo {
		return "notice "
	}
	return "problem"
}
