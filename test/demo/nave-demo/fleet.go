package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/test/standalone"
)

const (
	// modelPort is the one of the lost region's model, in the example.
	modelPort   = "9201"
	drillPeriod = 500 * time.Millisecond
)

// ports are those of the example's servers.
var ports = []string{modelPort, "9202", "9301", "9302"}

// expected is what the example comes to.
var expected = standalone.Expected{Clusters: 3, Gateways: 2, Replicas: 2}

// fleet is the running example.
type fleet struct {
	*standalone.Fleet
	dir, bin string
	// real names the provider of the models where they are no simulators.
	real string
	// stats is the lost region's model simulator, host:port.
	stats string
	// models and tools are the entry's proxies of each gateway, host:port.
	models, tools []string
	status        report.Status
}

// launch starts `nave up` on a copy of the example.
func launch(s settings) (*fleet, error) {
	dir, err := os.MkdirTemp("", "nave-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the fleet: %w", err)
	}
	f := &fleet{dir: dir, bin: s.bin}
	err = f.prepare(s.example)
	if err == nil {
		f.Fleet, err = standalone.Start(standalone.Options{Bin: s.bin, Dir: dir, Keep: s.keep})
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	fmt.Printf("fleet: %s, a copy of %s\n", dir, s.example)
	return f, nil
}

// prepare copies the example, with ports that are free and with a real provider
// where the environment has a key.
func (f *fleet) prepare(example string) error {
	free, err := standalone.Copy(example, f.dir, ports)
	if err != nil {
		return err
	}
	f.stats = "127.0.0.1:" + free[modelPort]
	return f.useReal(os.LookupEnv)
}

// end ends the fleet after what came of the run, and gives what came of all; its
// folder stays where something went wrong.
func (f *fleet) end(run error) error {
	err := f.End()
	if run != nil {
		if err != nil {
			fmt.Println(err)
		}
		err = run
	}
	if err == nil {
		_ = os.RemoveAll(f.dir)
		return nil
	}
	fmt.Printf("the fleet's folder stays: %s; its output, last:\n%s", f.dir, standalone.Tail(f.Log(), 10))
	return err
}

// leave says how to use what runs on, and how to end it.
func (f *fleet) leave() {
	fmt.Println("\nthe fleet runs on; its gateways:")
	f.list()
	fmt.Print(grep(f.Log(), "console"))
	fmt.Printf("ask it: %s --dir %s status\nend it: kill %d\n", filepath.Join(f.bin, "nave"), f.dir, f.Process().Pid)
}

// wait waits until every gateway is programmed in every region.
func (f *fleet) wait(ctx context.Context) error {
	began := time.Now()
	s, err := f.Wait(ctx, expected)
	if err != nil {
		return err
	}
	f.status = s
	fmt.Printf("every gateway is programmed in every region, after %s:\n", time.Since(began).Round(100*time.Millisecond))
	f.list()
	for _, p := range s.Problems {
		fmt.Printf("  problem: %s\n", p)
	}
	f.models = standalone.Gateway(s, entry, "agentgateway-route-foundry")
	f.tools = standalone.Gateway(s, entry, "agentgateway-mcp")
	return nil
}

func (f *fleet) list() {
	for _, g := range f.status.Gateways {
		fmt.Printf("  %-16s %-28s %s\n", g.Cluster, g.Name, strings.Join(standalone.Hosts(g), " "))
	}
}

// grep are the lines of a file that hold a word.
func grep(path, word string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, word) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// course is what became of the drill, and when; what did not happen has no time.
type course struct {
	status                   v1alpha1.DrillStatus
	lost, restored, returned time.Time
}

// drill starts the drill and follows it to its end.
func (f *fleet) drill(ctx context.Context) (course, error) {
	if _, err := f.Nave(ctx, "drill", "start", drillName); err != nil {
		return course{}, err
	}
	shown := 0
	for {
		if err := pause(ctx, drillPeriod); err != nil {
			return course{}, err
		}
		var c course
		if err := f.JSON(ctx, &c.status, "drill", "report", drillName); err != nil {
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
	out, err := f.Nave(ctx, "drill", "report", drillName)
	if err != nil {
		return err.Error() + "\n"
	}
	return string(out)
}
