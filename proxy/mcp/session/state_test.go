package session_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/navehq/nave/proxy/mcp/session"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// TestTranscripts plays each script of testdata against a new session of
// cluster "west" and compares what came of it. A script's lines are events:
//
//	wanted | wanted here | opened ID | refused | gone TURN | level L |
//	subscribed U | unsubscribed U | listed D | idle | closed |
//	told CLUSTER moves=N [live] [id=X] [stateless] [level=L]
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(a.Files[0].Data))
			if *update {
				a.Files = append(a.Files[:1], txtar.File{Name: "transcript", Data: []byte(got)})
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(a.Files[1].Data), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func play(t *testing.T, script string) string {
	var out bytes.Buffer
	u := session.Upstream{Cluster: "west", Phase: session.Absent}
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		var actions []session.Action
		u, actions = u.Step(event(t, strings.Fields(line)))
		var did []string
		for _, a := range actions {
			did = append(did, strings.TrimSpace(string(a.Do)+" "+a.What))
		}
		fmt.Fprintf(&out, "%-34s %-12s turn %d moves %d: %s\n", line, u.Phase, u.Turn, u.Moves, strings.Join(did, ", "))
	}
	return out.String()
}

func event(t *testing.T, f []string) session.Event {
	arg := ""
	if len(f) > 1 {
		arg = f[1]
	}
	switch f[0] {
	case "wanted":
		return session.Wanted{Here: arg == "here"}
	case "opened":
		return session.Opened{ID: arg, Version: "2025-06-18"}
	case "refused":
		return session.Refused{}
	case "gone":
		n, _ := strconv.Atoi(arg)
		return session.Gone{Turn: n}
	case "level":
		return session.LevelSet{Level: arg}
	case "subscribed":
		return session.Subscribed{URI: arg}
	case "unsubscribed":
		return session.Unsubscribed{URI: arg}
	case "listed":
		return session.Listed{Digest: arg}
	case "idle":
		return session.Idle{}
	case "closed":
		return session.Closed{}
	case "told":
		return told(f[1:])
	}
	t.Fatalf("unknown event %q", f[0])
	return nil
}

func told(f []string) session.Told {
	c := session.Copy{Cluster: f[0], Server: "math"}
	for _, word := range f[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "moves":
			c.Moves, _ = strconv.Atoi(value)
		case "live":
			c.Live = true
		case "id":
			c.ID = value
		case "stateless":
			c.Stateless = true
		case "level":
			c.Level = value
		}
	}
	return session.Told{Copy: c}
}
