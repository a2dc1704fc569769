// Command nave runs a fleet from a folder, and asks and orders one that runs.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/navehq/nave/hub/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
