// Command nave-spoke runs a spoke with the settings of one options file.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/navehq/nave/spoke"
)

func main() {
	path := flag.String("options", "", "`file` of JSON with the spoke's settings")
	flag.Parse()
	if err := run(*path); err != nil {
		fmt.Fprintln(os.Stderr, "nave-spoke:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the options: %w", err)
	}
	var opts spoke.Options
	if err := json.Unmarshal(data, &opts); err != nil {
		return fmt.Errorf("read the options in %s: %w", path, err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	sp, err := spoke.New(ctx, opts, spoke.Deps{Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Registry: registry})
	if err != nil {
		return err
	}
	return sp.Run(ctx)
}
