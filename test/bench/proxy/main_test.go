package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if part(os.Args[1:]) {
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}

// TestRun measures for a moment, and shows figures of each subject.
func TestRun(t *testing.T) {
	bin, err := filepath.Abs("../../../bin")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("make", "-s", "-C", filepath.Dir(bin), "build").CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	_, missing := exec.LookPath("nginx")
	s := settings{
		bin: bin, out: t.TempDir(), connections: 8, rate: 200, rounds: 1, duration: 500 * time.Millisecond, warm: 100 * time.Millisecond,
		maxRatio: 1000, withoutNginx: missing != nil, // so short a time judges nothing
	}
	if err := run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(s.out, "proxy.txt"))
	if err != nil || !strings.Contains(string(text), "nave") || strings.Contains(string(text), " 0/s") {
		t.Errorf("%s, %v", text, err)
	}
}

// TestVerdict: it is nginx's median that nave's is held against.
func TestVerdict(t *testing.T) {
	of := func(name string, cpu ...time.Duration) result {
		r := result{subject: subject{name: name}}
		for _, c := range cpu {
			r.rounds = append(r.rounds, round{cpu: c})
		}
		return r
	}
	if got := ratio([]result{of("no proxy", 0), of("nginx", 10, 90, 11), of("nave", 33, 1, 44)}); got != 3 {
		t.Errorf("the ratio is %v", got)
	}
	if got := ratio([]result{of("no proxy", 0), of("nave", 33)}); got != 0 {
		t.Errorf("without nginx the ratio is %v", got)
	}
}
