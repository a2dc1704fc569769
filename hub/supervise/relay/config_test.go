package relay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/navehq/nave/hub/supervise/relay"
)

func TestDecodeRefuses(t *testing.T) {
	for _, test := range []struct{ reason, text, want string }{
		{"an unknown field may be a misspelt partition", `{"links":[{"from":"a","to":"b","partitioned":true}]}`, "partitioned"},
		{"a delay without a unit", `{"links":[{"from":"a","to":"b","delay":"33"}]}`, "missing unit"},
		{"a negative delay", `{"links":[{"from":"a","to":"b","delay":"-1ms"}]}`, "delay and jitter"},
		{"everything lost is a partition", `{"links":[{"from":"a","to":"b","loss":1}]}`, "partition"},
		{"one direction given twice", `{"links":[{"from":"a","to":"b"},{"from":"a","to":"b"}]}`, "twice"},
		{"a target by name", `{"routes":[{"from":"a","to":"b","network":"tcp","listen":"127.0.0.1:1","target":"host:1"}]}`, "host:1"},
		{"another network", `{"routes":[{"from":"a","to":"b","network":"sctp","listen":"127.0.0.1:1","target":"127.0.0.1:2"}]}`, "sctp"},
		{"one address listened on twice", `{"routes":[{"from":"a","to":"b","network":"tcp","listen":"127.0.0.1:1","target":"127.0.0.1:2"},{"from":"c","to":"b","network":"tcp","listen":"127.0.0.1:1","target":"127.0.0.1:2"}]}`, "listened on twice"},
		{"no end", `{"routes":[`, "unexpected EOF"},
	} {
		if _, err := relay.Decode(strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error about %q", test.reason, err, test.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"routes":[{"from":"a","to":"b","network":"udp","listen":"127.0.0.1:1","target":"[::1]:2","source":"127.0.0.3"}],"links":[{"from":"a","to":"b","delay":"33ms","jitter":"1ms","loss":0.01,"partition":true}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		config, err := relay.Decode(bytes.NewReader(text))
		if err != nil {
			return
		}
		again, err := json.Marshal(config)
		check(t, err)
		back, err := relay.Decode(bytes.NewReader(again))
		check(t, err)
		if diff := cmp.Diff(config, back); diff != "" {
			t.Errorf("what was decoded does not come back: %s", diff)
		}
	})
}

func TestRunIsControlled(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "relay.sock")
	control, err := net.Listen("unix", socket)
	check(t, err)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	address := free.Addr().String()
	free.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx, relay.Options{Control: control}) }()

	config := relay.Config{
		Routes: []relay.Route{{From: "east", To: "west", Network: "tcp", Listen: address, Target: serve(t, echo)}},
		Links:  []relay.Link{{From: "east", To: "west", Delay: ms(20)}},
	}
	check(t, relay.Push(t.Context(), socket, config))
	conn := dial(t, address)
	turn(t, conn)
	if took := turn(t, conn); took < 20*time.Millisecond {
		t.Errorf("a turn took %v: what was pushed is not in force", took)
	}
	status, err := relay.FetchStatus(t.Context(), socket)
	check(t, err)
	if len(status) != 1 || status[0].Open != 1 {
		t.Errorf("status %+v, want one open connection", status)
	}
	config.Links[0].Loss = 2
	if err := relay.Push(t.Context(), socket, config); err == nil || !strings.Contains(err.Error(), "loss 2") {
		t.Errorf("a wrong configuration was taken: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run ended with %v", err)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("an address is held after the end")
	}
}

func TestAddressInUseIsReported(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer taken.Close()
	r := relay.New(relay.Options{})
	defer r.Close()
	route := relay.Route{From: "east", To: "west", Network: "tcp", Listen: taken.Addr().String(), Target: "127.0.0.1:1"}
	if err := r.Set(relay.Config{Routes: []relay.Route{route}}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
	if status := r.Status(); len(status) != 1 || !strings.Contains(status[0].Error, "in use") {
		t.Errorf("status %+v does not name the error", status)
	}
}
