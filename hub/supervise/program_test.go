package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestBackoff: what dies at once waits longer each time, what ran well does not.
func TestBackoff(t *testing.T) {
	var b backoff
	for i, step := range []struct{ ran, want time.Duration }{
		{0, 100 * time.Millisecond}, {time.Second, 200 * time.Millisecond}, {time.Second, 400 * time.Millisecond},
		{0, 800 * time.Millisecond}, {0, 1600 * time.Millisecond}, {0, 3200 * time.Millisecond}, {0, 5 * time.Second}, {steady, 5 * time.Second},
		{steady + 1, 100 * time.Millisecond}, {0, 200 * time.Millisecond},
	} {
		if got := b.next(step.ran); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
}

// shell is a program that runs a script, in a folder of its own.
func shell(t *testing.T, script string) *program {
	t.Helper()
	dir := t.TempDir()
	return &program{name: "x", path: "/bin/sh", args: []string{"-c", script}, dir: dir, log: filepath.Join(dir, "log"), slog: slog.New(slog.DiscardHandler)}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func (p *program) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process != nil
}

func TestProgramLives(t *testing.T) {
	p := shell(t, "echo began; exec sleep 60")
	p.start()
	eventually(t, "it does not start", p.running)
	p.restart()
	eventually(t, "it is not started anew", func() bool { return p.runs.Load() == 2 && p.running() })
	p.kill()
	eventually(t, "it is not killed", func() bool { return !p.running() })
	if p.onHold(); p.runs.Load() != 2 {
		t.Error("a killed one was started again")
	}
	p.revive()
	eventually(t, "it does not come back", func() bool { return p.runs.Load() == 3 && p.running() })
	p.signal(9)
	eventually(t, "it is not restarted", func() bool { return p.runs.Load() == 4 && p.running() })
	eventually(t, "it says nothing", func() bool { return p.tail() == "began" })
	p.stop()
	if p.running() || p.fault() != nil {
		t.Error("it runs on")
	}
}

func TestFault(t *testing.T) {
	for _, c := range []struct{ path, want string }{{"", "exit status 3"}, {"/does/not/exist", "no such file"}} {
		p := shell(t, "exit 3")
		if c.path != "" {
			p.path = c.path
		}
		p.start()
		eventually(t, "nobody says that it does not stay up", func() bool { return p.fault() != nil })
		if err := p.fault(); !strings.Contains(err.Error(), c.want) {
			t.Errorf("the cause is %v, want %s", err, c.want)
		}
		p.stop()
	}
}

// TestProgramsFollowTheirFile: what is new is started, what changed is started
// anew, what is gone ends, the rest is left alone; what is wrong is told of until
// it is mended.
func TestProgramsFollowTheirFile(t *testing.T) {
	s, _ := fleetOf(t, "a")
	r := &region{name: "a", proxies: map[string]*program{}}
	s.regions["a"] = r
	defer s.stopAll()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.opts.Dir, "clusters", "a", programsFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.readPrograms(t.Context(), r)
	}
	find := func(name string) *program {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, p := range r.programs {
			if p.name == "a-"+name {
				return p
			}
		}
		return nil
	}
	const one, other = "- {name: one, command: [sleep, \"60\"]}\n", "- {name: other, command: [sleep, \"61\"]}\n"
	write("processes:\n" + one + other)
	first, second := find("one"), find("other")
	if first == nil || second == nil {
		t.Fatal("they are not started")
	}
	write("processes: {")
	if find("one") != first || len(s.problems.list()) != 1 {
		t.Errorf("a broken file: %v", s.problems.list())
	}
	write("processes:\n" + one + strings.Replace(other, "61", "62", 1) + "- {name: one, command: [x]}\n")
	if find("one") != first || find("other") == second || !second.over() {
		t.Error("what changed is not the only one that was started anew")
	}
	if list := s.problems.list(); len(list) != 1 || list[0].Field != "processes[2].name" || list[0].File != programsFile || list[0].Cluster != "a" || list[0].Remedy == "" {
		t.Errorf("the name that is there twice: %+v", list)
	}
	write("processes:\n" + one)
	if find("one") != first || find("other") != nil || len(s.problems.list()) != 0 {
		t.Errorf("at the end: %v", s.problems.list())
	}
}

// TestRegionsFollowTheirFolders: a cluster whose folder is gone ends, and one that
// cannot be told from it, since nothing can be read, does not.
func TestRegionsFollowTheirFolders(t *testing.T) {
	s, _ := fleetOf(t, "a", "b")
	for _, name := range []string{"a", "b"} {
		r, err := s.addRegion(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		r.spoke = shell(t, "exec sleep 60")
		r.spoke.start()
	}
	a := s.regions["a"].spoke
	defer s.stopAll()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	if err := os.Remove(filepath.Join(s.opts.Dir, "clusters", "a")); err != nil {
		t.Fatal(err)
	}
	s.followRegions(ctx, &wg)
	wg.Wait()
	if !a.over() || s.regions["a"] != nil || s.regions["b"] == nil || s.regions["b"].spoke.over() {
		t.Error("not exactly the cluster without a folder ended")
	}
	if err := os.RemoveAll(filepath.Join(s.opts.Dir, "clusters")); err != nil {
		t.Fatal(err)
	}
	s.followRegions(ctx, &wg)
	wg.Wait()
	if s.regions["b"] == nil || s.regions["b"].spoke.over() {
		t.Error("a folder that cannot be read ended a cluster")
	}
}

// TestWhatAProcessStartedEndsWithIt: also where it does not listen to anybody.
func TestWhatAProcessStartedEndsWithIt(t *testing.T) {
	for _, c := range []struct {
		script string
		end    func(p *program)
	}{
		{"sleep 60 & echo $!; exit 1", func(*program) {}},
		{"(trap '' TERM; echo $BASHPID; while :; do sleep 1; done) & echo child; wait", func(p *program) { p.signal(syscall.SIGKILL) }},
		{"sleep 60 & echo $!; trap 'exit 0' TERM; wait", func(p *program) { p.stop() }},
	} {
		p := shell(t, c.script)
		p.path = "/bin/bash"
		p.start()
		var child int
		eventually(t, "it starts nothing", func() bool {
			data, _ := os.ReadFile(p.log)
			for _, word := range strings.Fields(string(data)) {
				if pid, err := strconv.Atoi(word); err == nil {
					child = pid
				}
			}
			return child != 0
		})
		c.end(p)
		eventually(t, "what it started lives on", func() bool { return !alive(child) })
		p.stop()
	}
}

// alive is false for one that has ended, though nobody has taken note of it.
func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(data), ") ")
	return !strings.HasPrefix(state, "Z")
}

// TestLeftoversEnd: what a supervisor that was killed has left is killed by the
// next one of the same folder, and nothing else.
func TestLeftoversEnd(t *testing.T) {
	s, out := fleetOf(t)
	other, _ := fleetOf(t)
	begin := func(mark string) *exec.Cmd {
		cmd := exec.Command("/bin/sleep", "60")
		cmd.Env = append(os.Environ(), mark)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	own, foreign := begin(s.mark()), begin(other.mark())
	s.endLeftovers()
	if alive(own.Process.Pid) || !alive(foreign.Process.Pid) {
		t.Errorf("the fleet's own lives: %t, another's: %t", alive(own.Process.Pid), alive(foreign.Process.Pid))
	}
	if !strings.Contains(out.String(), fmt.Sprint(own.Process.Pid)) {
		t.Errorf("it is not said: %s", out.String())
	}
}

// TestKilledRegionsAreGivenBack: when their time is over, and when the hub that had
// them killed has ended; one that is ordered back is back at once.
func TestKilledRegionsAreGivenBack(t *testing.T) {
	s, out := fleetOf(t, "a")
	s.hub = shell(t, "exec sleep 60")
	r, err := s.addRegion(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	r.spoke = shell(t, "exec sleep 60")
	s.hub.start()
	r.spoke.start()
	defer s.stopAll()
	eventually(t, "nothing starts", func() bool { return r.spoke.running() && s.hub.running() })
	for _, c := range []struct {
		why  string
		life time.Duration
		back func()
	}{
		{"its time is over", 50 * time.Millisecond, func() {}},
		{"the hub that had it killed has ended", time.Hour, func() {
			s.hub.signal(syscall.SIGKILL)
			eventually(t, "the hub does not come back", func() bool { return s.hub.runs.Load() == 2 && s.hub.running() })
			s.followHub()
		}},
		{"", time.Hour, func() {
			s.followHub()
			if r.spoke.running() {
				t.Error("it is given back though its hub lives")
			}
			if err := s.Restart("a"); err != nil {
				t.Error(err)
			}
		}},
	} {
		runs := r.spoke.runs.Load()
		if err := s.Kill("a", c.life); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is not killed", func() bool { return !r.spoke.running() || r.spoke.runs.Load() > runs })
		c.back()
		eventually(t, c.why+": it does not come back", func() bool { return r.spoke.running() && r.spoke.runs.Load() == runs+1 })
		if !strings.Contains(out.String(), c.why) {
			t.Errorf("%s: %s", c.why, out.String())
		}
	}
}

// TestAddressesAreGivenBack: clusters that come and go use up nothing.
func TestAddressesAreGivenBack(t *testing.T) {
	s, _ := fleetOf(t, "stays")
	first, err := s.addresses.of("stays", "spoke")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxClusters {
		name := fmt.Sprint("c", i)
		for j := range 100 {
			if _, err := s.addresses.of(name, fmt.Sprint("p", i, "-", j)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.addresses.forget(name); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 600 {
		if _, err := s.addresses.of("stays", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if err := s.addresses.forget("stays", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.addresses.of("goes", "spoke"); err != nil {
		t.Fatal(err)
	}
	if err := s.addresses.retain([]string{"stays"}); err != nil {
		t.Fatal(err)
	}
	again, err := openAddresses(s.addresses.path)
	if err != nil || len(again.given.Clusters) != 1 || len(again.given.Processes) != 1 {
		t.Errorf("%+v, %v", again.given, err)
	}
	if now, err := again.of("stays", "spoke"); now != first || err != nil {
		t.Errorf("%s is %s now: %v", first, now, err)
	}
}

// Proxies whose variables change are started again one after another, and those
// that stay as they are run on.
func TestRoll(t *testing.T) {
	var mu sync.Mutex
	down, most := 0, 0
	var list []*program
	for range 3 {
		p := shell(t, `trap 'exit 0' TERM; echo "is $X"; while :; do sleep 0.05; done`)
		p.equip([]string{"X=1"}, 0)
		p.start()
		p.ready = func() bool {
			mu.Lock()
			defer mu.Unlock()
			down = 0
			for _, other := range list {
				if !other.running() {
					down++
				}
			}
			most = max(most, down)
			return p.tail() == "is 2"
		}
		list = append(list, p)
	}
	for _, p := range list {
		eventually(t, "it does not start", func() bool { return p.tail() == "is 1" })
		if p.equip([]string{"X=1"}, time.Minute) {
			t.Error("a longer drain has it start again")
		}
		if p.patience() <= time.Minute {
			t.Errorf("it is killed after %s, before its drain is over", p.patience())
		}
		if !p.equip([]string{"X=2"}, time.Minute) {
			t.Error("another variable does not have it start again")
		}
	}
	(&region{}).roll(list)
	for _, p := range list {
		if p.runs.Load() != 2 || p.tail() != "is 2" {
			t.Errorf("%d runs, and it says %q", p.runs.Load(), p.tail())
		}
		p.stop()
	}
	if most > 1 {
		t.Errorf("%d of 3 were down at once", most)
	}
}
