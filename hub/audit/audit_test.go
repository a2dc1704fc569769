package audit_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/hub/audit"
)

func open(t *testing.T, path string) *audit.Log {
	t.Helper()
	at := time.Unix(1e9, 0)
	l, err := audit.Open(path, func() time.Time { at = at.Add(time.Second); return at })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func put(t *testing.T, l *audit.Log, list ...audit.Entry) {
	t.Helper()
	for _, e := range list {
		if err := l.Append(e); err != nil {
			t.Fatal(err)
		}
	}
}

func file(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTheLogGoesOnOverRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	put(t, open(t, path), audit.Entry{Who: "ann", What: "cordon", On: "west", Why: "patching"})
	// A crash in the middle of a line leaves half of it.
	if err := os.WriteFile(path, []byte(file(t, path)+`{"at":"2001`), 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, path)
	put(t, l, audit.Entry{Who: "bob", What: "uncordon", On: "west", Refused: "no"})
	recent := l.Recent(10)
	if len(recent) != 2 || recent[0].Who != "ann" || recent[1].Refused != "no" || recent[1].Previous != recent[0].Hash {
		t.Errorf("recent: %+v", recent)
	}
	if n, err := audit.Verify(strings.NewReader(file(t, path))); n != 2 || err != nil {
		t.Errorf("it holds %d entries: %v", n, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v: %v", info.Mode(), err)
	}
	if got := l.Recent(1); len(got) != 1 || got[0].Who != "bob" {
		t.Errorf("the last one: %+v", got)
	}
}

func TestVerifyFindsWhatWasDone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	put(t, open(t, path), audit.Entry{Who: "a", What: "freeze"}, audit.Entry{Who: "b", What: "cordon"}, audit.Entry{Who: "c", What: "drain"})
	lines := strings.SplitAfter(strings.TrimSuffix(file(t, path), "\n")+"\n", "\n")[:3]
	for _, c := range []struct {
		why, text, want string
		count           int
	}{
		{"as it was written", strings.Join(lines, ""), "", 3},
		{"half a line at the end", strings.Join(lines, "") + `{"at`, "", 3},
		{"an entry changed", lines[0] + strings.Replace(lines[1], `"b"`, `"x"`, 1) + lines[2], "line 2: was changed", 1},
		{"an entry taken out", lines[0] + lines[2], "line 2: does not follow", 1},
		{"the first taken out", lines[1] + lines[2], "line 1: does not follow", 0},
		{"turned round", lines[1] + lines[0] + lines[2], "line 1: does not follow", 0},
		{"twice the same", lines[0] + lines[0], "line 2: does not follow", 1},
		{"no entry", lines[0] + "nonsense\n", "line 2: is no entry", 1},
		{"more in a line", strings.TrimSuffix(lines[0], "\n") + "{}\n", "line 1: is no entry", 0},
		{"a field that is none", strings.Replace(lines[0], `{`, `{"x":1,`, 1), "line 1: is no entry", 0},
		{"a line without end", lines[0] + strings.Repeat("x", 70<<10) + "\n" + lines[1], "line 2: is longer", 1},
	} {
		n, err := audit.Verify(strings.NewReader(c.text))
		if n != c.count || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d entries, %v", c.why, n, err)
		}
	}
}

func TestTextsAreCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, path)
	put(t, l, audit.Entry{Who: "a\nb", What: "x", Why: strings.Repeat("é\x00", 1<<16)})
	put(t, l, audit.Entry{Who: "b", What: "x"})
	if n, err := audit.Verify(strings.NewReader(file(t, path))); n != 2 || err != nil {
		t.Errorf("%d entries: %v", n, err)
	}
	if got := len(file(t, path)); got > 16<<10 {
		t.Errorf("the file has %d bytes", got)
	}
}

func TestManyAtOnceStayInOneChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, path)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 30 {
				put(t, l, audit.Entry{Who: fmt.Sprint(i), What: "freeze"})
			}
		})
	}
	wg.Wait()
	if n, err := audit.Verify(strings.NewReader(file(t, path))); n != 240 || err != nil {
		t.Errorf("%d entries: %v", n, err)
	}
	if n := len(l.Recent(1000)); n != 100 {
		t.Errorf("%d are remembered", n)
	}
	list, err := audit.Read(strings.NewReader(file(t, path)), 7)
	if err != nil || len(list) != 7 || list[6].Hash != l.Recent(1)[0].Hash {
		t.Errorf("read %d: %v", len(list), err)
	}
}

func TestLessThanNoEntries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, path)
	put(t, l, audit.Entry{Who: "a", What: "freeze"})
	if list, err := audit.Read(strings.NewReader(file(t, path)), -4); err != nil || len(list)+len(l.Recent(-4)) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte("{\"at\":\"2001-09-09T01:46:41Z\",\"who\":\"a\",\"what\":\"freeze\",\"hash\":\"00\"}\n"))
	f.Add([]byte("{}\n{}\n"))
	f.Add([]byte("\n\x00\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := audit.Verify(bytes.NewReader(data))
		if lines := bytes.Count(data, []byte("\n")); n > lines || err == nil && n != lines {
			t.Errorf("%d of %d entries hold: %v", n, lines, err)
		}
		if list, err := audit.Read(bytes.NewReader(data), 3); err != nil || len(list) > 3 {
			t.Errorf("read %d: %v", len(list), err)
		}
	})
}
