package standalone

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEnd: a fleet ends well only where `nave up` goes with exit code 0 and leaves
// nothing, whoever had started it.
func TestEnd(t *testing.T) {
	const before = "it has ended before"
	for _, c := range []struct {
		name, script, want string
	}{
		{"well", `trap 'exit 0' INT; touch ready; while :; do sleep 0.05; done`, ""},
		{"another exit code", `trap 'exit 3' INT; touch ready; while :; do sleep 0.05; done`, "exit status 3"},
		{before, `touch ready; exit 1`, "exit status 1"},
		{"a process stays", `mkdir -p clusters/west; (cd clusters/west && exec setsid sleep 30) & trap 'exit 0' INT; touch ready; while :; do sleep 0.05; done`, "program-west-sleep"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bin, dir := t.TempDir(), t.TempDir()
			if err := os.WriteFile(filepath.Join(bin, "nave"), []byte("#!/bin/sh\ncd \"$2\"\n"+c.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			f, err := Start(Options{Bin: bin, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			await(t, func() bool { _, err := os.Stat(filepath.Join(dir, "ready")); return err == nil })
			if strings.Contains(c.script, "setsid") {
				await(t, func() bool {
					all, _ := f.Processes()
					for _, p := range all {
						if p.Name == c.want {
							return true
						}
					}
					return false
				})
			}
			if c.name == before {
				<-f.ended
			}
			err = f.End()
			if _, err := f.Kill(func(string) bool { return true }); err != nil {
				t.Error(err)
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("its end: %v, want %q", err, c.want)
			}
		})
	}
}

func await(t *testing.T, there func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !there(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}
