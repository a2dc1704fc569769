//go:build !linux

package llm_test

import "syscall"

// endsWithUs keeps a terminal's signals from a process; stop ends it.
func endsWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
