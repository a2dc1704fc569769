package main

import (
	"syscall"
	"time"
)

// pause sleeps by the kernel's own clock: the runtime's timers, on which an idle
// process waits in whole milliseconds, would be late by more than a proxy adds.
func pause(d time.Duration) {
	t := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&t, nil) // a signal ends it early; the caller looks at the time
}
