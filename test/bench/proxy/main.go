// Bench-proxy measures what a proxied chat completion costs: a proxy of a fleet
// that `nave up` runs, with its access log and metrics on as they are by
// default, beside nginx and beside no proxy at all, in alternating rounds of one
// run. The upstream and the clients are processes of their own, so that their
// processor time is accounted apart; the cores are shared by all. Afterwards the
// access logs and the proxy's metrics are asked for every request: without them
// there is no result.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// settings are what the person chose.
type settings struct {
	bin, out, profile string
	connections, rate int
	rounds, workers   int
	again             int
	duration, warm    time.Duration
	maxRatio          float64
	withoutNginx      bool
}

// part carries out what another process of the same run asks of this program,
// and tells whether it was asked for something.
func part(args []string) bool {
	if len(args) != 2 {
		return false
	}
	var err error
	switch args[0] {
	case "upstream":
		err = serveUpstream(args[1])
	case "load":
		err = generate(args[1], os.Stdout)
	default:
		return false
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", args[0], err)
		os.Exit(1)
	}
	return true
}

func main() {
	if part(os.Args[1:]) {
		return
	}
	s := settings{}
	flag.StringVar(&s.bin, "bin", "../bin", "where the programs are")
	flag.StringVar(&s.out, "out", "", "the folder for the results; none are written without it")
	flag.IntVar(&s.connections, "connections", 32, "connections of the clients")
	flag.IntVar(&s.rate, "rate", 1000, "requests a second where latency is measured")
	flag.IntVar(&s.rounds, "rounds", 5, "how often each is measured")
	flag.IntVar(&s.again, "again", 12, "how many measurements of a run may be taken again because others had a tenth of the cores")
	flag.IntVar(&s.workers, "workers", runtime.NumCPU(), "nginx's worker processes, and the proxy's GOMAXPROCS")
	flag.DurationVar(&s.duration, "duration", 5*time.Second, "how long each measurement takes; a round has two for each subject")
	flag.DurationVar(&s.warm, "warm", 2*time.Second, "how long each warms up before the first round")
	flag.Float64Var(&s.maxRatio, "max-ratio", 4, "the most processor time a request may cost, in nginx's")
	flag.StringVar(&s.profile, "profile", "", "a `file` for a processor profile of the proxy at saturation, taken after the rounds")
	flag.BoolVar(&s.withoutNginx, "without-nginx", false, "leave nginx out, and judge nothing")
	flag.Parse()
	if err := untilSignal(s); err != nil {
		fmt.Fprintln(os.Stderr, "bench-proxy:", err)
		os.Exit(1)
	}
}

func untilSignal(s settings) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return run(ctx, s)
}

var errDear = errors.New("a request costs too much")

func run(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "nave-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system tidies up what is left
	scene, err := setUp(ctx, s, dir)
	defer scene.end()
	if err != nil {
		return err
	}
	results, err := scene.measure(ctx, s)
	if err != nil {
		return err
	}
	for _, r := range results {
		if err := r.witness(ctx); err != nil {
			return fmt.Errorf("look for the requests that %s served: %w", r.name, err)
		}
	}
	if s.profile != "" {
		if err := scene.profile(ctx, s, results[len(results)-1].subject); err != nil {
			return fmt.Errorf("profile the proxy: %w", err)
		}
	}
	text := report(s, results)
	fmt.Print(text)
	if s.out != "" {
		if err := os.MkdirAll(s.out, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(s.out, "proxy.txt"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return judge(results, s.maxRatio)
}

// judge holds the ratio against the most that it may be.
func judge(results []result, most float64) error {
	if r := ratio(results); r > most {
		return fmt.Errorf("%w: %.2f times nginx's processor time, at most %.2f", errDear, r, most)
	}
	return nil
}
