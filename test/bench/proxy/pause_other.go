//go:build !linux

package main

import "time"

// pause sleeps. Processor time is read from /proc, so only Linux gives results.
func pause(d time.Duration) { time.Sleep(d) }
