package latency_test

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/navehq/nave/proxy/latency"
)

var update = flag.Bool("update", false, "write what the code says into the transcripts")

var start = time.Unix(1_000_000, 0)

// TestTranscripts replays testdata: a line is an event, the line after it that
// begins with ">" is what is then believed.
func TestTranscripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	if len(files) == 0 {
		t.Fatal("no transcripts")
	}
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range archive.Files {
			got := replay(t, string(f.Data))
			if *update {
				archive.Files[i].Data = []byte(got)
			} else if d := cmp.Diff(string(f.Data), got); d != "" {
				t.Errorf("%s %s: %s", name, f.Name, d)
			}
		}
		if *update {
			if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

type transcript struct {
	t      *testing.T
	book   latency.Book
	pref   latency.Preference
	margin latency.Margins
}

func replay(t *testing.T, text string) string {
	r := transcript{t: t, book: latency.New(10 * time.Second)}
	var out strings.Builder
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, ">") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line == "" || line[0] == '#' {
			continue
		}
		if said := r.event(strings.Fields(line)); said != "" {
			fmt.Fprintln(&out, ">", said)
		}
	}
	return out.String()
}

func (r *transcript) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *transcript) event(w []string) string {
	now := start.Add(r.duration(w[0]))
	show := func(e latency.Estimate) string {
		if !e.Known {
			return "unknown"
		}
		return fmt.Sprintf("%v, age %v", e.Value.Round(10*time.Microsecond), e.Age)
	}
	switch w[1] {
	case "sample": // path, value…
		for _, v := range w[3:] {
			r.book = r.book.Add(w[2], now, r.duration(v))
		}
		return ""
	case "estimate":
		return show(r.book.Estimate(w[2], now))
	case "least":
		return show(r.book.Least(w[2], now))
	case "margins":
		percent, err := strconv.Atoi(strings.TrimSuffix(w[3], "%"))
		if err != nil {
			r.t.Fatal(err)
		}
		r.margin = latency.Margins{Absolute: r.duration(w[2]), Percent: percent, Window: r.duration(w[4])}
		return ""
	case "prefer":
		var offers []latency.Offer
		for _, o := range w[2:] {
			name, v, known := strings.Cut(o, "=")
			offer := latency.Offer{Name: name}
			if known {
				offer.Estimate = latency.Estimate{Value: r.duration(v), Known: true}
			}
			offers = append(offers, offer)
		}
		r.pref = latency.Prefer(r.pref, r.margin, offers, now)
		if r.pref.Challenger != "" {
			return fmt.Sprintf("%s, challenged by %s since %v", r.pref.Current, r.pref.Challenger, r.pref.Since.Sub(start))
		}
		return r.pref.Current
	}
	r.t.Fatalf("unknown event %q", w[1])
	return ""
}

func FuzzMergeLaws(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := rand.New(rand.NewPCG(seed, 3))
		some := func() latency.Digest {
			d := latency.NewDigest()
			for range w.IntN(6) {
				d = d.Put(latency.Entry{
					Path: string("pq"[w.IntN(2)]), Writer: string("ab"[w.IntN(2)]), Count: w.IntN(2),
					Value: time.Duration(w.IntN(3)), Least: time.Duration(w.IntN(3)), At: start.Add(time.Duration(w.IntN(3))),
				})
			}
			return d
		}
		a, b, c := some(), some(), some()
		for name, pair := range map[string][2]latency.Digest{
			"commutes":   {a.Merge(b), b.Merge(a)},
			"associates": {a.Merge(b).Merge(c), a.Merge(b.Merge(c))},
			"idempotent": {a.Merge(a), a},
			"absorbs":    {a.Merge(b).Merge(b), a.Merge(b)},
		} {
			if d := cmp.Diff(pair[0].Entries(), pair[1].Entries()); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
	})
}

func FuzzEstimateStaysAmongSamples(f *testing.F) {
	f.Add([]byte{1, 200, 3, 4, 5, 6, 7})
	f.Fuzz(func(t *testing.T, samples []byte) {
		b := latency.New(time.Minute)
		least, most := time.Duration(1<<62), time.Duration(0)
		for i, s := range samples {
			d := time.Duration(s) + 1
			least, most = min(least, d), max(most, d)
			now := start.Add(time.Duration(i))
			b = b.Add("p", now, d)
			if e := b.Estimate("p", now); e.Value < least-1 || e.Value > most || !e.Known {
				t.Fatalf("estimate %v outside %v to %v", e.Value, least, most)
			}
		}
	})
}

func TestDigestTakesTheLowerMedianOfFreshOnes(t *testing.T) {
	d := latency.NewDigest()
	for w, v := range map[string]time.Duration{"a": 10, "b": 20, "c": 90} {
		d = d.Put(latency.Entry{Path: "p", Writer: w, Value: v, At: start})
	}
	d = d.Put(latency.Entry{Path: "p", Writer: "old", Value: 1, At: start.Add(-time.Hour)})
	if e := d.Estimate("p", start.Add(time.Second), time.Minute); e.Value != 20 || e.Age != time.Second || !e.Known {
		t.Errorf("got %+v", e)
	}
	if e := d.Estimate("q", start, time.Minute); e.Known {
		t.Errorf("nobody measured it: %+v", e)
	}
}
