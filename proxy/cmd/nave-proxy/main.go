// Command nave-proxy runs a proxy with the settings of one options file.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/navehq/nave/proxy"
	"github.com/navehq/nave/proxy/observe"
)

// collect is how much garbage there may be for what lives, percent: a proxy's
// heap is a few megabytes, and a collector that keeps it as small as the
// language's default does costs a tenth of each request.
const collect = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collect)
	}
	path := flag.String("options", "", "`file` of JSON with the proxy's settings")
	flag.Parse()
	if err := run(*path); err != nil {
		fmt.Fprintln(os.Stderr, "nave-proxy:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the options: %w", err)
	}
	var opts proxy.Options
	if err := json.Unmarshal(data, &opts); err != nil {
		return fmt.Errorf("read the options in %s: %w", path, err)
	}
	deps := proxy.Deps{Level: &slog.LevelVar{}, Format: &observe.Format{}, Registry: prometheus.NewRegistry(), AccessLog: os.Stdout}
	deps.Log = slog.New(deps.Format.Handler(os.Stderr, deps.Level))
	deps.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p, err := proxy.New(ctx, opts, deps)
	if err != nil {
		return err
	}
	return p.Run(ctx)
}
