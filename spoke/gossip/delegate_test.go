package gossip

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// FuzzDelegate: whatever others say of themselves, only a peer that proves its name
// counts as a member, and nobody under this cluster's own name.
func FuzzDelegate(f *testing.F) {
	f.Add("west", []byte("proof of west"), []byte{})
	f.Add("west", []byte("proof of east"), []byte("x"))
	f.Add("east", []byte("proof of east"), []byte{0, 1, 2})
	f.Add("east", []byte("proof of west"), []byte{})
	f.Add("", []byte(nil), []byte{0xff})
	f.Add("north", []byte("proof of north"), []byte("{}"))
	f.Fuzz(func(t *testing.T, name string, meta, message []byte) {
		g := New(Options{
			Cluster: "east", Transport: &Transport{}, Meta: []byte("proof of east"), Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Verify: func(cluster string, meta []byte) error {
				if string(meta) != "proof of "+cluster {
					return errors.New("it is no proof")
				}
				return nil
			},
		})
		g.SetPeers(map[string]string{"west": "127.0.0.1:7946"})
		d, node := delegate{g}, &memberlist.Node{Name: name, Meta: meta}
		d.NotifyMsg(message)
		d.MergeRemoteState(message, len(message)%2 == 0)
		taken := d.NotifyAlive(node) == nil
		if want := name == "east" && bytes.Equal(meta, []byte("proof of east")) || name == "west" && string(meta) == "proof of west"; taken != want {
			t.Fatalf("%q with %q is taken: %t", name, meta, taken)
		}
		if taken {
			d.NotifyJoin(node)
		}
		if list := g.Members(); len(list) > 0 && (len(list) > 1 || list[0] != "west") {
			t.Errorf("the members are %q", list)
		}
	})
}
