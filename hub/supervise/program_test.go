package supervise

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
