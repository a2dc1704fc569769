package provider_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/openai"
	"github.com/navehq/nave/proxy/llm/dialect/provider"
	"github.com/navehq/nave/proxy/llm/sse"
)

var update = flag.Bool("update", false, "write what the code says into the goldens")

var now = time.Unix(1700000000, 0)

// Each file is one exchange. Its comment says what of ("kind: anthropic",
// "model:" for the candidate's, "op:", "crlf" for a stream with such line ends),
// "client" is the request, "answer" or "stream" what the provider says; the
// files that begin with "want" are what comes of it.
func TestExchanges(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c := parseCase(t, ar)
			got := c.run(t)
			if *update {
				write(t, path, ar, got)
				return
			}
			want := map[string]string{}
			for _, f := range ar.Files {
				if strings.HasPrefix(f.Name, "want") {
					want[f.Name] = string(f.Data)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func write(t *testing.T, path string, ar *txtar.Archive, got map[string]string) {
	kept := ar.Files[:0]
	for _, f := range ar.Files {
		if !strings.HasPrefix(f.Name, "want") {
			kept = append(kept, f)
		}
	}
	for _, name := range []string{"want upstream", "want client", "want notes"} {
		if text, ok := got[name]; ok {
			kept = append(kept, txtar.File{Name: name, Data: []byte(text)})
		}
	}
	ar.Files = kept
	if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
}

type testCase struct {
	kind   provider.Kind
	op     dialect.Operation
	o      dialect.Options
	crlf   bool
	client []byte
	answer []byte
	stream []byte
}

func parseCase(t *testing.T, ar *txtar.Archive) testCase {
	var c testCase
	for line := range strings.Lines(string(ar.Comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "kind":
			kinds := map[string]provider.Kind{"openai": provider.OpenAI, "azure": provider.Azure, "anthropic": provider.Anthropic, "compatible": provider.Compatible}
			k, ok := kinds[value]
			if !ok {
				t.Fatalf("kind %q", value)
			}
			c.kind = k
		case "model":
			c.o.Model = value
		case "op":
			for op := dialect.Chat; op <= dialect.Models; op++ {
				if op.String() == value {
					c.op = op
				}
			}
		case "crlf":
			c.crlf = true
		}
	}
	for _, f := range ar.Files {
		data := bytes.TrimSuffix(f.Data, []byte("\n"))
		switch f.Name {
		case "client":
			c.client = data
		case "answer":
			c.answer = data
		case "stream":
			c.stream = f.Data
		}
	}
	if c.crlf {
		c.stream = bytes.ReplaceAll(c.stream, []byte("\n"), []byte("\r\n"))
	}
	return c
}

func (c testCase) run(t *testing.T) map[string]string {
	got := map[string]string{}
	f, err := openai.Inspect(c.op, c.client)
	if err != nil {
		got["want notes"] = note(err)
		return got
	}
	x, err := c.kind.Codec().Begin(&f, c.client, c.o)
	if err != nil {
		got["want notes"] = note(err)
		return got
	}
	got["want upstream"] = c.pretty(t, x.Body())
	notes := fmt.Sprintf("features: %s\nstate: %v\ndropped: %q\n", f.Features, f.State, x.Dropped())
	switch {
	case c.stream != nil:
		client, more := drive(x.Stream(now), c.stream, len(c.stream))
		for _, n := range []int{1, 13} {
			again, _ := drive(x.Stream(now), c.stream, n)
			if again != client {
				t.Errorf("in pieces of %d the client gets\n%s\nwhole it gets\n%s", n, again, client)
			}
		}
		got["want client"], notes = strings.ReplaceAll(client, "\r\n", "\n"), notes+more
	case c.answer != nil:
		a, err := x.Answer(c.answer, now)
		if err != nil {
			notes += note(err)
			break
		}
		got["want client"] = c.pretty(t, a.Body)
		notes += summary(a.Summary)
	}
	got["want notes"] = notes
	return got
}

// pretty indents what was translated; what passed is shown as it is.
func (c testCase) pretty(t *testing.T, body []byte) string {
	if c.kind != provider.Anthropic {
		return string(body) + "\n"
	}
	var out bytes.Buffer
	if err := json.Indent(&out, body, "", "  "); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, body)
	}
	return out.String() + "\n"
}

// drive feeds a stream in pieces of n bytes and tells what each event meant.
func drive(s dialect.Stream, stream []byte, n int) (client, notes string) {
	var out, log strings.Builder
	var scanner sse.Scanner
	events := 0
	ended := false
	take := func(b []byte, n dialect.Note) {
		events++
		out.Write(b)
		if n.Meaningful {
			fmt.Fprintf(&log, "event %d: meaningful\n", events)
		}
		if n.Err != nil {
			fmt.Fprintf(&log, "event %d: %s", events, note(n.Err))
			out.Write(s.Fail(n.Err))
		}
		if n.Done {
			fmt.Fprintf(&log, "event %d: done\n", events)
		}
		ended = n.Done || n.Err != nil
	}
	for len(stream) > 0 && !ended {
		k := min(n, len(stream))
		scanner.Feed(stream[:k])
		stream = stream[k:]
		for !ended {
			ev, ok, err := scanner.Next()
			if err != nil {
				return out.String(), err.Error()
			}
			if !ok {
				break
			}
			take(s.Event(ev))
		}
	}
	if !ended {
		if ev, ok := scanner.End(); ok {
			take(s.Event(ev))
		}
	}
	if !ended {
		take(s.End())
	}
	return out.String(), log.String() + summary(s.Summary())
}

func note(err error) string {
	var e *chat.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("error: %s\n  the client would get %d %s\n", e, e.ClientStatus(), openai.AppendError(nil, e))
	}
	return fmt.Sprintf("error: %s\n", err)
}

func summary(s dialect.Summary) string {
	return fmt.Sprintf("id %q model %q finish %q\ntokens %+v\n", s.ID, s.Model, s.Finish, s.Usage)
}
