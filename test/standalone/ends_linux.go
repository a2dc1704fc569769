package standalone

import "syscall"

// endsWithUs has a process told to end when this one is gone, however that ends.
func endsWithUs(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }
