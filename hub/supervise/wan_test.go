package supervise

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/hub/supervise/relay"
)

func TestReadWAN(t *testing.T) {
	ms := func(n int) relay.Duration { return relay.Duration(time.Duration(n) * time.Millisecond) }
	for _, c := range []struct {
		why, text string
		want      []relay.Link
		field     string
	}{
		{"both ways", "links: [{between: [a, b], delay: 3ms, jitter: 1ms, loss: 0.1}]",
			[]relay.Link{{From: "a", To: "b", Delay: ms(3), Jitter: ms(1), Loss: 0.1}, {From: "b", To: "a", Delay: ms(3), Jitter: ms(1), Loss: 0.1}}, ""},
		{"one way over both", "links: [{between: [a, b], delay: 3ms}, {from: b, to: a, partition: true}]",
			[]relay.Link{{From: "a", To: "b", Delay: ms(3)}, {From: "b", To: "a", Delay: ms(3), Partition: true}}, ""},
		{"the hub", "links: [{from: a, to: hub, delay: 3ms}]", []relay.Link{{From: "a", To: "hub", Delay: ms(3)}}, ""},
		{"nothing", "", []relay.Link{}, ""},
		{"a cluster that there is not is told of, and the rest obeyed", "links: [{from: a, to: z, delay: 3ms}, {from: a, to: b}]",
			[]relay.Link{{From: "a", To: "b"}, {From: "a", To: "z", Delay: ms(3)}}, "links[0]"},
		{"no duration", "links: [{between: [a, b]}, {between: [a, b], delay: far}]", nil, "links[1]"},
		{"a negative one", "links: [{between: [a, b], delay: -1ms}]", nil, "links[0]"},
		{"no share", "links: [{between: [a, b], loss: 1}]", nil, "links[0]"},
		{"one end", "links: [{from: a}]", nil, "links[0]"},
		{"the same end", "links: [{between: [a, a]}]", nil, "links[0]"},
		{"an unknown field", "links: [{between: [a, b], dleay: 1ms}]", nil, "wan.yaml: links[0].dleay: there is no such field"},
		{"a value that does not fit", "links: [{between: [a, b], partition: both}]", nil, "wan.yaml: links[0].partition: a string does not fit here; give true or false"},
		{"no YAML", "links:\n- {", nil, "wan.yaml:2: is not YAML"},
	} {
		path := filepath.Join(t.TempDir(), wanName)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, problems := readWAN(path, []string{"a", "b"})
		if !slices.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%s: %+v, want %+v", c.why, got, c.want)
		}
		if (len(problems) == 0) != (c.field == "") || len(problems) > 0 && (!strings.Contains(problems[0].String(), c.field) || problems[0].Remedy == "") {
			t.Errorf("%s: %+v", c.why, problems)
		}
	}
	if got, problems := readWAN(filepath.Join(t.TempDir(), wanName), nil); got == nil || len(problems) > 0 {
		t.Errorf("no file: %v %v", got, problems)
	}
}

// TestNetwork: what a file that was broken said before holds, and regions that
// reach the hub through the network keep their way, whatever happens to the file.
func TestNetwork(t *testing.T) {
	s, _ := fleetOf(t, "a", "b")
	s.ports.streams = "127.9.0.1:9443"
	if err := os.Mkdir(filepath.Join(s.opts.Dir, "hub"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(s.wanPath(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("links: [{between: [a, b], delay: 3ms}]")
	for _, name := range []string{"a", "b"} {
		if _, err := s.addRegion(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	known := []string{"a", "b"}
	config, views := s.network(known)
	// Each way gossip by TCP and UDP, and each cluster's way to the hub.
	if len(config.Links) != 2 || len(config.Routes) != 6 || len(views) != 2 {
		t.Fatalf("%+v %+v", config, views)
	}
	write("links: [")
	if broken, _ := s.network(known); len(broken.Links) != 2 || len(broken.Routes) != 6 || len(s.problems.list()) != 1 {
		t.Errorf("a broken file: %+v, %v", broken, s.problems.list())
	}
	if err := os.Remove(s.wanPath()); err != nil {
		t.Fatal(err)
	}
	gone, views := s.network(known)
	if len(gone.Links) != 0 || len(gone.Routes) != 2 || len(views) != 0 || len(s.problems.list()) != 0 {
		t.Errorf("without a file: %+v %+v", gone, views)
	}
	for _, r := range gone.Routes {
		if r.To != hubEnd || r.Target != s.ports.streams {
			t.Errorf("the way to the hub: %+v", r)
		}
	}
}

func FuzzWAN(f *testing.F) {
	f.Add([]byte("links: [{between: [a, b], delay: 3ms, jitter: 1ms, loss: 0.1, partition: true}]"))
	f.Add([]byte("links: [{from: a, to: b, loss: .nan}]"))
	f.Add([]byte("links: {}"))
	path := filepath.Join(f.TempDir(), wanName)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		links, problems := readWAN(path, []string{"a", "b"})
		if links == nil && len(problems) == 0 {
			t.Error("refused without a word")
		}
		if links != nil && (relay.Config{Links: links}).Validate() != nil && len(links) < 1000 {
			t.Errorf("the relay refuses %+v: %v", links, (relay.Config{Links: links}).Validate())
		}
	})
}
