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
)

// said is what people were told of: gateways by their lines, problems by how
// often they were missed since.
type said struct {
	gateways map[string]string
	problems map[string]int
	// waiting notices are those not said yet, by how often they were seen.
	waiting map[string]int
	// before are the gateways a moment ago: while proxies come up, nothing is said.
	before map[string]string
}

func newSaid() *said {
	return &said{gateways: map[string]string{}, problems: map[string]int{}, waiting: map[string]int{}}
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
	var out []string
	standing, waiting := map[string]bool{}, map[string]int{}
	for _, p := range problems {
		line := report.Line(p)
		if standing[line] {
			continue
		}
		standing[line] = true
		_, known := t.problems[line]
		if !known && p.Severity == objects.SeverityInfo && t.waiting[line]+1 < patience {
			waiting[line] = t.waiting[line] + 1
			continue
		}
		if !known {
			out = append(out, severity(p)+"  "+line)
		}
		t.problems[line] = 0
	}
	t.waiting = waiting
	for _, line := range slices.Sorted(maps.Keys(t.problems)) {
		if standing[line] {
			continue
		}
		if t.problems[line]++; t.problems[line] == patience {
			delete(t.problems, line)
			out = append(out, "solved   "+line)
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
