package stream_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/navehq/nave/api/stream"
)

var update = flag.Bool("update", false, "rewrite the expected transcripts")

// TestTranscripts plays testdata/*.txtar: "script" holds one step a line, and
// "transcript" what the two ends said to each other.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(ar.Files[0].Data))
			if *update {
				ar.Files = []txtar.File{ar.Files[0], {Name: "transcript", Data: []byte(got)}}
				if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(ar.Files[1].Data); got != want {
				t.Fatalf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func play(t *testing.T, script string) string {
	l := newLink(t, stream.Guard{Percent: 20, From: 5})
	var out strings.Builder
	for _, line := range strings.Split(strings.TrimSpace(script), "\n") {
		fmt.Fprintf(&out, "> %s\n", line)
		f := strings.Fields(line)
		switch f[0] {
		case "set":
			l.set(stream.ID{Kind: f[1], Key: f[2]}, f[3])
		case "delete":
			l.delete(stream.ID{Kind: f[1], Key: f[2]})
		case "mark":
			l.name(f[1], len(f) > 2)
		case "connect":
			l.connect()
			for _, v := range l.sink.Held() {
				fmt.Fprintf(&out, "  receiver holds %s\n", v.ID)
			}
		case "drop":
			l.drop()
		case "send":
			max := 0
			if len(f) > 1 {
				fmt.Sscan(f[1], &max)
			}
			if l.send(max) {
				out.WriteString(printDelta(l.deltas[len(l.deltas)-1]))
			} else {
				out.WriteString("  nothing to send\n")
			}
		case "deliver":
			l.deliver()
			if a := l.acks[len(l.acks)-1]; a.Hold != "" {
				fmt.Fprintf(&out, "  held: %s\n", a.Hold)
			}
			fmt.Fprintf(&out, "  receiver obeys %q with %d resources\n", l.sink.Mark(), len(l.has))
		case "answer":
			l.answer()
			fmt.Fprintf(&out, "  source: %+v\n", l.source.Standing())
		default:
			t.Fatalf("unknown step %q", line)
		}
	}
	return out.String()
}

func printDelta(d stream.Delta) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  delta %d", d.Nonce)
	if d.Mark != "" {
		fmt.Fprintf(&b, " mark %s", d.Mark)
	}
	if d.Complete {
		b.WriteString(" complete")
	}
	if d.Confirmed {
		b.WriteString(" confirmed")
	}
	b.WriteByte('\n')
	for _, r := range d.Upserts {
		fmt.Fprintf(&b, "    + %s = %s\n", r.ID(), r.Payload)
	}
	for _, id := range d.Deletes {
		fmt.Fprintf(&b, "    - %s\n", id)
	}
	return b.String()
}
