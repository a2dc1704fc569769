package assignment_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/assignment"
)

// FuzzDecode: what is read of bytes is what was asked for, and is the same when it
// is written and read again.
func FuzzDecode(f *testing.F) {
	for _, r := range []assignment.Resource{
		&assignment.Fleet{}, &assignment.Tenant{Name: "default", All: true}, &assignment.Peer{Cluster: "west"},
		&assignment.Declaration{Cluster: "west", Object: json.RawMessage(`{"kind":"X"}`)}, &assignment.Sealed{From: "west", To: "east", Purpose: "session/ns/g"},
		&assignment.Facts{Cluster: "west", Proxies: []assignment.ProxyFacts{{Ready: true}}}, &assignment.Problems{Place: "p"}, &assignment.Verdict{}, &assignment.Placement{}, &assignment.Sample{}, &assignment.Status{Value: json.RawMessage("{}")},
	} {
		data, err := assignment.Encode(r)
		if err != nil {
			f.Fatal(err)
		}
		kind, key := r.ID()
		f.Add(string(kind), key, data)
		f.Add(string(kind), key+"x", data)
	}
	f.Add("Fleet", "", []byte("null"))
	f.Add("none", "", []byte("{}"))
	f.Fuzz(func(t *testing.T, kind, key string, data []byte) {
		r, err := assignment.Decode(assignment.Kind(kind), key, data)
		if err != nil {
			return
		}
		if k, name := r.ID(); string(k) != kind || name != key {
			t.Fatalf("asked for %s %q, it is %s %q", kind, key, k, name)
		}
		written, err := assignment.Encode(r)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := assignment.Decode(assignment.Kind(kind), key, written)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, written)
		}
		rewritten, err := assignment.Encode(again)
		if diff := cmp.Diff(string(written), string(rewritten)); err != nil || diff != "" {
			t.Errorf("it changes as it is written again: %v\n%s", err, diff)
		}
	})
}
