package llm_test

import "syscall"

// endsWithUs lets a process end with this one, however that ends.
func endsWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
