package supervise

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// fleetMark is in the environment of every process of a fleet, with its folder.
const fleetMark = "NAVE_FLEET"

func (s *Supervisor) mark() string { return fleetMark + "=" + s.opts.Dir }

// endLeftovers kills what a supervisor that was killed has left of this fleet:
// its own processes died with it, but not what those had started. Where there is
// no /proc nothing is found.
func (s *Supervisor) endLeftovers() {
	for end := time.Now().Add(grace); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		left := marked(s.mark())
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			s.out.print("notice   process %d was left of this fleet and is killed", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL) // one that has ended meanwhile is no failure
		}
	}
}

// marked are the processes with a mark, but for this one and those above it.
func marked(mark string) []int {
	var out []int
	own := []int{os.Getpid(), os.Getppid()}
	files, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is well-formed
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // another user's, or gone
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && !slices.Contains(own, pid) && slices.ContainsFunc(bytes.Split(data, []byte{0}), func(x []byte) bool { return string(x) == mark }) {
			out = append(out, pid)
		}
	}
	return out
}
