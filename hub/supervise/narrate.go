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
)

// said is what people were told of: gateways by their lines, problems with
// whether they stand.
type said struct {
	gateways map[string]string
	problems map[string]bool
	// before are the gateways a moment ago: while proxies come up, nothing is said.
	before map[string]string
}

// narrate prints where each gateway answers and what people must mend, when it
// comes and when it is mended, until ctx ends.
func (s *Supervisor) narrate(ctx context.Context) error {
	told := &said{gateways: map[string]string{}, problems: map[string]bool{}}
	client := &http.Client{Timeout: 5 * time.Second}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var status report.Status
		if err := ask(ctx, client, "http://"+at(s.addresses.hub(), 8080)+"/api/v1/status", &status); err != nil {
			s.opts.Log.Debug("ask the hub for its status", "err", err)
			continue
		}
		for _, line := range told.news(status) {
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
	standing := map[string]bool{}
	for _, p := range status.Problems {
		line := report.Line(p)
		if !standing[line] && !t.problems[line] {
			out = append(out, severity(p)+"  "+line)
		}
		standing[line] = true
	}
	for _, line := range slices.Sorted(maps.Keys(t.problems)) {
		if !standing[line] {
			out = append(out, "solved   "+line)
		}
	}
	t.problems = standing
	return out
}

func severity(p objects.Problem) string {
	if p.Severity == objects.SeverityInfo {
		return "notice "
	}
	return "problem"
}
