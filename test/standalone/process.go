package standalone

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Process is one of the fleet's processes.
type Process struct {
	// Name is as its options file is called (hub, spoke-CLUSTER, proxy-CLUSTER-NAME),
	// or relay.
	Name string
	Pid  int
	// Anonymous is its anonymous memory, bytes.
	Anonymous int64
}

// name is what a process of a fleet is called, by its arguments; "" for another.
func name(args []string, run string) string {
	if i := slices.Index(args, "-options"); i >= 0 && i+1 < len(args) && filepath.Dir(args[i+1]) == run {
		return strings.TrimSuffix(filepath.Base(args[i+1]), ".json")
	}
	if i := slices.Index(args, "--socket"); i >= 0 && i+1 < len(args) && filepath.Dir(args[i+1]) == run {
		return "relay"
	}
	return ""
}

// Processes lists the hub, the spokes, the proxies and the relay that run, by name.
func (f *Fleet) Processes() ([]Process, error) {
	run := filepath.Join(f.opts.Dir, ".nave", "run")
	lists, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var out []Process
	for _, path := range lists {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		args := strings.Split(string(bytes.TrimRight(data, "\x00")), "\x00")
		called := name(args, run)
		if called == "" {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		p := Process{Name: called, Pid: pid}
		if p.Anonymous, err = anonymous(pid); err == nil {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Process) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// anonymous reads the anonymous memory of a process.
func anonymous(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, found := strings.CutPrefix(line, "RssAnon:"); found {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("read the memory of process %d: it ended", pid)
}

// Kill kills those of the processes that are chosen, with SIGKILL, and gives
// their names.
func (f *Fleet) Kill(chosen func(name string) bool) ([]string, error) {
	all, err := f.Processes()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, p := range all {
		if !chosen(p.Name) {
			continue
		}
		if err := syscall.Kill(p.Pid, syscall.SIGKILL); err != nil {
			return nil, fmt.Errorf("kill %s: %w", p.Name, err)
		}
		out = append(out, p.Name)
	}
	return out, nil
}

// Withhold takes a program away, so that nobody starts it, until it is given
// back.
func (f *Fleet) Withhold(program string) error {
	path := filepath.Join(f.opts.Bin, program)
	return os.Rename(path, path+".withheld")
}

// Return gives a program back.
func (f *Fleet) Return(program string) error {
	path := filepath.Join(f.opts.Bin, program)
	return os.Rename(path+".withheld", path)
}
