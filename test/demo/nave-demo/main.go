// Command nave-demo shows the whole idea on one machine: it runs a fleet of
// three regions, drives it with the official clients' kits, has a region
// killed under load, and says what clients saw. Its exit code is 0 only if
// nothing was lost, and 3 if the run showed nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// errInvalid is a run that shows nothing.
var errInvalid = errors.New("INVALID")

func main() {
	keep := flag.Bool("keep", false, "leave the fleet running at the end")
	rate := flag.Int("rate", 200, "requests a second")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *rate, *keep)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, errInvalid):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	default:
		fmt.Fprintln(os.Stderr, "nave-demo:", err)
		os.Exit(1)
	}
}
