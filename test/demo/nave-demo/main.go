// Nave-demo runs the example fleet of three regions, sends it an agent's
// traffic by the official SDKs, loses a region under it, and says what clients
// saw. It exits with 0 if nothing was lost, 1 if something was, and 3 if the
// run shows nothing because the region carried too little.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/navehq/nave/test/load"
)

const (
	// life bounds the whole run.
	life = 170 * time.Second
	// drillName is the drill of the example, lostRegion the cluster that it loses
	// and entry the one where clients are.
	drillName  = "lose-westus2"
	lostRegion = "westus2"
	entry      = "eastus"
	// leastInFlight are the requests that must be in flight at the region when it
	// is lost, leastShare the percentage of the traffic that it must serve.
	leastInFlight = 10
	leastShare    = 50
)

// The exit codes.
const (
	exitLost    = 1
	exitInvalid = 3
)

// errInvalid marks a run that shows nothing.
var errInvalid = errors.New("INVALID")

// settings are what the person chose.
type settings struct {
	keep    bool
	rate    int
	example string
	bin     string
}

func main() {
	var s settings
	flag.BoolVar(&s.keep, "keep", false, "leave the fleet running")
	flag.IntVar(&s.rate, "rate", 200, "requests a second")
	flag.StringVar(&s.example, "example", "", "the fleet's folder [docs/examples/three-regions beside the programs' folder]")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, life)
	err := demonstrate(ctx, s)
	cancel()
	stop()
	switch {
	case errors.Is(err, errInvalid):
		fmt.Println("\n" + err.Error())
		os.Exit(exitInvalid)
	case err != nil:
		fmt.Println("\nFAIL:", err)
		os.Exit(exitLost)
	}
	fmt.Println("\nPASS: nothing was lost")
}

func demonstrate(ctx context.Context, s settings) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.bin = filepath.Dir(self)
	if s.example == "" {
		s.example = filepath.Join(filepath.Dir(s.bin), "docs", "examples", "three-regions")
	}
	began := time.Now()
	f, err := launch(s)
	if err != nil {
		return err
	}
	err = rehearse(ctx, f, s)
	fmt.Printf("\nthe whole took %s\n", time.Since(began).Round(time.Second))
	if s.keep && f.Up() {
		f.leave()
		return err
	}
	f.end(err == nil)
	return err
}

// rehearse sends traffic, loses the region, and judges.
func rehearse(ctx context.Context, f *fleet, s settings) error {
	if err := f.wait(ctx); err != nil {
		return err
	}
	t, err := load.Start(ctx, load.Options{Rate: s.rate, Models: f.models, Tools: f.tools, Dear: f.real != "", Home: lostRegion})
	if err != nil {
		return err
	}
	defer t.Stop()
	w := watch(ctx, f.stats)
	fmt.Printf("\n%d requests a second enter at %s, by two proxies of each gateway; MCP in %d sessions\n", t.Rate(), entry, t.Sessions().All)
	if err := pause(ctx, 5*time.Second); err != nil {
		return err
	}
	fmt.Printf("the drill %s begins: %s is going to be killed\n", drillName, lostRegion)
	d, err := f.drill(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, 4*time.Second); err != nil {
		return err
	}
	t.Stop()
	j := judge(d, t.Results(), t.Sessions(), w.before(d.lost), f.real)
	j.print(os.Stdout)
	fmt.Println("\nthe drill's report:")
	fmt.Print(f.report(ctx))
	return j.verdict()
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("the run ends: %w", context.Cause(ctx))
	case <-time.After(d):
		return nil
	}
}
