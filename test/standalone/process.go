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
	// relay, or program-CLUSTER-COMMAND for what a processes.yaml has started.
	Name string
	Pid  int
	// Anonymous is its anonymous memory, bytes.
	Anonymous int64
}

// Program tells whether it is of a processes.yaml.
func (p Process) Program() bool { return strings.HasPrefix(p.Name, "program-") }

// mark is in the environment of all that belongs to a fleet, whatever started it.
func (f *Fleet) mark() string { return "NAVE_STANDALONE_FLEET=" + f.opts.Dir }

// name is what a process of the fleet is called, by its arguments and by where it
// was started.
func (f *Fleet) name(args []string, cwd string) string {
	run := filepath.Join(f.opts.Dir, ".nave", "run")
	if i := slices.Index(args, "-options"); i >= 0 && i+1 < len(args) && filepath.Dir(args[i+1]) == run {
		return strings.TrimSuffix(filepath.Base(args[i+1]), ".json")
	}
	if i := slices.Index(args, "--socket"); i >= 0 && i+1 < len(args) && filepath.Dir(args[i+1]) == run {
		return "relay"
	}
	return "program-" + filepath.Base(cwd) + "-" + filepath.Base(args[0])
}

// Processes lists all that runs of the fleet but `nave up` itself, by name.
func (f *Fleet) Processes() ([]Process, error) {
	lists, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, err
	}
	var out []Process
	for _, path := range lists {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(path)
		if err != nil || pid == f.command.Process.Pid || !slices.Contains(strings.Split(string(data), "\x00"), f.mark()) {
			continue // it ended meanwhile, or is somebody else's
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		args := strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
		if err != nil || args[0] == "" || slices.Equal(args, f.command.Args) {
			continue // it has ended, or does not run yet
		}
		cwd, _ := os.Readlink(filepath.Join(filepath.Dir(path), "cwd"))
		p := Process{Name: f.name(args, cwd), Pid: pid}
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
