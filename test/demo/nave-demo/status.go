package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/v1alpha1"
)

// What the example has.
const (
	regions     = 3
	gateways    = 2
	replicas    = 2
	drillPeriod = 500 * time.Millisecond
)

// json reads what a command of the CLI prints as JSON.
func (f *fleet) json(ctx context.Context, into any, args ...string) error {
	data, err := f.nave(ctx, append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// unready says what is missing; "" for nothing.
func unready(s report.Status) string {
	if len(s.Clusters) < regions || len(s.Gateways) < regions*gateways {
		return fmt.Sprintf("there are %d clusters and %d gateways", len(s.Clusters), len(s.Gateways))
	}
	for _, c := range s.Clusters {
		waits := slices.ContainsFunc(c.Proxies, func(p report.Proxy) bool { return !p.Ready })
		if c.Lease != string(v1alpha1.LeaseConnected) || len(c.Proxies) < gateways*replicas || waits {
			return fmt.Sprintf("cluster %s is %s, its proxies are %+v", c.Name, c.Lease, c.Proxies)
		}
	}
	for _, g := range s.Gateways {
		if len(hosts(g)) < replicas || !programmed(g.Conditions) {
			return fmt.Sprintf("gateway %s in %s is not programmed: %s", g.Name, g.Cluster, g.Conditions)
		}
	}
	return ""
}

// programmed reads a Gateway's conditions; where it is only placed it has none.
func programmed(conditions json.RawMessage) bool {
	var list []struct{ Type, Status string }
	if len(conditions) == 0 || json.Unmarshal(conditions, &list) != nil {
		return true
	}
	return !slices.ContainsFunc(list, func(c struct{ Type, Status string }) bool { return c.Type == "Programmed" && c.Status != "True" })
}

// hosts are host:port of every proxy of a gateway.
func hosts(g report.Gateway) []string {
	var out []string
	for _, l := range g.Listeners {
		for _, u := range l.URLs {
			if parsed, err := url.Parse(u); err == nil {
				out = append(out, parsed.Host)
			}
		}
	}
	return out
}

// course is what became of the drill, and when; what did not happen has no time.
type course struct {
	status                   v1alpha1.DrillStatus
	lost, restored, returned time.Time
}

// drill starts the drill and follows it to its end.
func (f *fleet) drill(ctx context.Context) (course, error) {
	if _, err := f.nave(ctx, "drill", "start", drillName); err != nil {
		return course{}, err
	}
	shown := 0
	for {
		if err := pause(ctx, drillPeriod); err != nil {
			return course{}, err
		}
		var c course
		if err := f.json(ctx, &c.status, "drill", "report", drillName); err != nil {
			return course{}, err
		}
		for i, e := range c.status.Timeline {
			if i >= shown {
				fmt.Printf("  %s  %-11s %s\n", e.At.Local().Format("15:04:05.000"), e.Event, e.Message)
			}
			c.note(e)
		}
		shown = len(c.status.Timeline)
		if c.status.Phase == v1alpha1.DrillPhaseDone {
			return c, nil
		}
	}
}

func (c *course) note(e v1alpha1.DrillEvent) {
	switch e.Event {
	case "Lost":
		c.lost = e.At.Time
	case "Restored":
		c.restored = e.At.Time
	case "FailedBack":
		c.returned = e.At.Time
	}
}

// report is the drill's report as the CLI prints it.
func (f *fleet) report(ctx context.Context) string {
	out, err := f.nave(ctx, "drill", "report", drillName)
	if err != nil {
		return err.Error() + "\n"
	}
	return string(out)
}
