// Nave-demo runs the example fleet of three regions, sends it an agent's
// traffic by the official SDKs, loses a region under it, and says what clients
// saw. It exits with 0 if nothing was lost, 1 if something was, and 3 if the
// run shows nothing because the region carried too little; make tells these as
// "Error 1" and "Error 3", and exits with 2 itself.
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
	// life bounds the run itself: with what is under way then, and the fleet's end,
	// the whole takes less than three minutes.
	life = 135 * time.Second
	// drillName is the drill of the example, lostRegion the cluster that it loses
	// and entry the one where clients are.
	drillName  = "lose-westus2"
	lostRegion = "westus2"
	entry      = "eastus"
	// leastInFlight are the requests that must be in flight at the region when it
	// is lost, leastShare the percentage of the traffic that it must serve.
	leastInFlight = 10
	leastShare    = 50
	// longest is how long a request that meets the loss may take.
	longest = 3 * time.Second
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
	code, text := outcome(err)
	fmt.Println("\n" + text)
	os.Exit(code)
}

// outcome is how the program ends, and what it says then.
func outcome(err error) (int, string) {
	switch {
	case errors.Is(err, errInvalid):
		return exitInvalid, err.Error()
	case err != nil:
		return exitLost, "FAIL: " + err.Error()
	}
	return 0, "PASS: nothing was lost"
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
	return f.end(err)
}

// rehearse sends traffic, loses the region, and judges.
func rehearse(ctx context.Context, f *fleet, s settings) error {
	if err := f.wait(ctx); err != nil {
		return err
	}
	t, err := load.Start(ctx, load.Options{Rate: s.rate, Models: f.models, Tools: f.tools, Dear: f.real != "", Home: lostRegion})
	if errors.Is(err, load.ErrElsewhere) {
		return fmt.Errorf("%w: %s does not serve, so that nothing can be seen of its loss: %w", errInvalid, lostRegion, err)
	}
	if err != nil {
		return err
	}
	defer t.Stop()
	w := load.Watch(ctx, f.stats)
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
	j := judge(d, t.Results(), t.Sessions(), w.Before(d.lost), f.real)
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
