package supervise

import "syscall"

// attributes put a process into a group of its own, and have the kernel kill it
// when the supervisor dies, however that happens.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
