package folder_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/objects/folder"
)

// decode reads one object a line: "name value"; a line "broken" cannot be read.
func decode(file string, data []byte) ([]*objects.Object, []objects.Problem) {
	var list []*objects.Object
	var problems []objects.Problem
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		name, value, _ := strings.Cut(line, " ")
		if name == "broken" {
			problems = append(problems, objects.Problem{File: fmt.Sprintf("%s:%d", file, i+1), Reason: objects.ReasonSyntax, Message: "cannot be read"})
			continue
		}
		list = append(list, &objects.Object{Key: objects.Key{Kind: "Thing", Name: name}, Hash: fmt.Sprintf("%x", sha256.Sum256([]byte(value))), File: file})
	}
	return list, problems
}

type bench struct {
	t      *testing.T
	dir    string
	source *folder.Source
	now    time.Time
}

func open(t *testing.T) *bench {
	b := &bench{t: t, dir: t.TempDir(), now: time.Unix(1e9, 0)}
	b.reopen()
	return b
}

func (b *bench) reopen() {
	b.t.Helper()
	s, err := folder.Open(folder.Options{
		Dir: filepath.Join(b.dir, "in"), State: filepath.Join(b.dir, "state"), Cluster: "c",
		Skip: []string{"wan.yaml"}, Decode: decode, Now: func() time.Time { return b.now },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.source = s
}

func (b *bench) save(name, content string) {
	b.t.Helper()
	path := filepath.Join(b.dir, "in", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) scan() folder.Scan {
	b.t.Helper()
	s, err := b.source.Scan()
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) thing(s folder.Scan, name string) *objects.Object {
	b.t.Helper()
	o := s.Set.Get(objects.Key{Kind: "Thing", Name: name})
	if o == nil {
		b.t.Fatalf("%s is not there", name)
	}
	return o
}

func TestGenerationsOutliveARestart(t *testing.T) {
	b := open(t)
	b.save("a.yaml", "x 1\ny 1")
	first := b.thing(b.scan(), "x")
	b.now = b.now.Add(time.Hour)
	b.reopen()
	again := b.thing(b.scan(), "x")
	if again.Generation != 1 || !again.Created.Equal(first.Created) || again.UID != first.UID {
		t.Errorf("after a restart: generation %d, created %v; want 1 and %v", again.Generation, again.Created, first.Created)
	}
	b.save("a.yaml", "x 22\ny 1")
	scan := b.scan()
	if got := b.thing(scan, "x").Generation; got != 2 {
		t.Errorf("after a change: generation %d, want 2", got)
	}
	if len(scan.Changes) != 1 {
		t.Errorf("one changed object gives %d changes", len(scan.Changes))
	}
}

func TestBrokenFileKeepsWhatWasReadBefore(t *testing.T) {
	b := open(t)
	b.save("a.yaml", "x 1\ny 1")
	b.save("b.yaml", "z 1")
	b.scan()
	b.save("a.yaml", "x 333\nbroken")
	scan := b.scan()
	b.thing(scan, "y")
	b.thing(scan, "z")
	if got := b.thing(scan, "x").Generation; got != 2 {
		t.Errorf("the readable part of a broken file is at generation %d, want 2", got)
	}
	if len(scan.Problems) != 1 || scan.Problems[0].File != "a.yaml:2" || scan.Problems[0].Cluster != "c" {
		t.Errorf("problems %v, want one at a.yaml:2", scan.Problems)
	}
	b.save("a.yaml", "x 333")
	if scan := b.scan(); scan.Set.Len() != 2 {
		t.Errorf("after mending there are %d objects, want 2", scan.Set.Len())
	}
}

func TestSameObjectInTwoFiles(t *testing.T) {
	b := open(t)
	b.save("a.yaml", "x 1")
	b.save("b.yaml", "x 2")
	scan := b.scan()
	if len(scan.Problems) != 1 || scan.Problems[0].Reason != objects.ReasonDuplicate {
		t.Fatalf("problems %v, want one Duplicate", scan.Problems)
	}
	if got := b.thing(scan, "x").File; got != "a.yaml" {
		t.Errorf("obeyed is %s, want a.yaml", got)
	}
}

func TestWatchSeesASave(t *testing.T) {
	b := open(t)
	b.save("a.yaml", "x 1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	scans := make(chan folder.Scan, 8)
	done := make(chan error, 1)
	go func() { done <- b.source.Watch(ctx, func(s folder.Scan, _ error) { scans <- s }) }()
	<-scans
	b.save("wan.yaml", "not an object")
	b.save("b.yaml", "y 1")
	select {
	case s := <-scans:
		b.thing(s, "y")
	case <-time.After(5 * time.Second):
		t.Fatal("a saved file was not seen within 5 s")
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestConditionsKeepTheirTime(t *testing.T) {
	now := time.Unix(1e9, 0)
	w := folder.Statuses{Dir: t.TempDir(), Now: func() time.Time { return now }}
	key := objects.Key{Kind: "Thing", Namespace: "n", Name: "x"}
	write := func(status metav1.ConditionStatus) string {
		value := objects.Conditions{Conditions: []metav1.Condition{{Type: "Accepted", Status: status, Reason: "R"}}}
		dated, err := w.Write(objects.Status{Key: key, Value: value}, nil)
		if err != nil || strings.Contains(string(dated), `"lastTransitionTime":null`) {
			t.Fatalf("%s, %v", dated, err)
		}
		data, err := os.ReadFile(filepath.Join(w.Dir, "Thing", "n", "x.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	first := write("True")
	now = now.Add(time.Hour)
	if again := write("True"); again != first {
		t.Errorf("the same status is written anew:\n%s\n%s", first, again)
	}
	if changed := write("False"); !strings.Contains(changed, now.UTC().Format(time.RFC3339)) {
		t.Errorf("a changed status keeps its old time:\n%s", changed)
	}
	if err := w.Remove(key); err != nil {
		t.Fatal(err)
	}
}

// TestAFolderThatIsLostDeletesNothing: not while it is away, nor at a start
// without it; an empty folder does delete.
func TestAFolderThatIsLostDeletesNothing(t *testing.T) {
	b := open(t)
	in := filepath.Join(b.dir, "in")
	if s := b.scan(); len(s.Changes) != 0 {
		t.Error("a folder that was never there holds something")
	}
	b.save("a.yaml", "one 1")
	b.thing(b.scan(), "one")
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	move(in, in+"2")
	for _, when := range []string{"while it runs", "at a start"} {
		s, err := b.source.Scan()
		if err == nil || len(s.Changes) > 0 {
			t.Errorf("%s: %+v, %v", when, s.Changes, err)
		}
		if p := b.source.Failed(err); len(p) != 1 || p[0].Cluster != "c" || p[0].Remedy == "" {
			t.Errorf("%s: %+v", when, p)
		}
		b.reopen()
	}
	move(in+"2", in)
	b.thing(b.scan(), "one")
	if err := os.Remove(filepath.Join(in, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	if s := b.scan(); len(s.Changes) != 1 {
		t.Errorf("an empty folder: %+v", s.Changes)
	}
}

// TestWatchFollowsAFolderThatComesBack: by its events, not by the sweep alone.
func TestWatchFollowsAFolderThatComesBack(t *testing.T) {
	b := open(t)
	b.save("a.yaml", "one 1")
	ctx, cancel := context.WithCancel(t.Context())
	scans, failed, done := make(chan folder.Scan, 10), make(chan error, 10), make(chan error, 1)
	go func() {
		done <- b.source.Watch(ctx, func(s folder.Scan, err error) {
			if err != nil {
				failed <- err
				return
			}
			scans <- s
		})
	}()
	b.thing(<-scans, "one")
	in := filepath.Join(b.dir, "in")
	if err := os.Rename(in, in+"2"); err != nil {
		t.Fatal(err)
	}
	<-failed
	if err := os.Rename(in+"2", in); err != nil {
		t.Fatal(err)
	}
	b.save("b.yaml", "two 1")
	b.thing(<-scans, "two")
	b.save("b.yaml", "two 1\nthree 1")
	b.thing(<-scans, "three")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestWhatIsNoFileIsNamed: nothing waits for what never comes.
func TestWhatIsNoFileIsNamed(t *testing.T) {
	b := open(t)
	b.save("a.yaml", "one 1")
	in := filepath.Join(b.dir, "in")
	if err := syscall.Mkfifo(filepath.Join(in, "fifo.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(in, "zero.yaml")); err != nil {
		t.Fatal(err)
	}
	s := b.scan()
	b.thing(s, "one")
	if len(s.Problems) != 2 || s.Problems[0].File != "fifo.yaml" || s.Problems[1].File != "zero.yaml" {
		t.Errorf("%+v", s.Problems)
	}
}

// TestADamagedMemoryIsForgotten: it is said, and the objects are obeyed.
func TestADamagedMemoryIsForgotten(t *testing.T) {
	b := open(t)
	b.save("a.yaml", "one 1")
	b.scan()
	memory := filepath.Join(b.dir, "state", "objects.json")
	if err := os.Truncate(memory, 3); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	s := b.scan()
	b.thing(s, "one")
	if len(s.Problems) != 1 || s.Problems[0].Reason != "Forgotten" {
		t.Errorf("%+v", s.Problems)
	}
	b.reopen()
	if s := b.scan(); len(s.Problems) > 0 || b.thing(s, "one").Generation != 1 {
		t.Errorf("it was not written anew: %+v", s.Problems)
	}
}
