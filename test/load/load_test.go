package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

func TestMix(t *testing.T) {
	for _, c := range []struct {
		name string
		real bool
		want map[Kind]int
	}{
		{"simulators", false, map[Kind]int{Chat: 400, Stream: 200, Tool: 350, Count: 50}},
		{"a provider that costs money", true, map[Kind]int{Chat: 25, Tool: 825, Count: 150}},
	} {
		mix, got := &Traffic{opts: Options{Dear: c.real}}, map[Kind]int{}
		for n := range 1000 {
			got[mix.next(n)]++
		}
		for _, k := range Kinds {
			if got[k] != c.want[k] {
				t.Errorf("%s: %d of %q, want %d", c.name, got[k], k, c.want[k])
			}
		}
	}
}

// TestHeld: only what met a loss may have been cut, or not been sent again.
func TestHeld(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Unix(1000, 0).Add(d) }
	loss := Loss{From: at(0), To: at(time.Second)}
	for _, c := range []struct {
		name             string
		scheduled, ended time.Duration
		fate             Fate
		losses           []Loss
		want             Fate
	}{
		{"under way at the loss", -time.Second, 500 * time.Millisecond, Cut, []Loss{loss}, Cut},
		{"begun before it could be noticed", 4 * time.Second, 5 * time.Second, Unrepeated, []Loss{loss}, Unrepeated},
		{"ended before the loss", -2 * time.Second, -time.Millisecond, Cut, []Loss{loss}, Lost},
		{"begun too late", 4*time.Second + time.Millisecond, 5 * time.Second, Unrepeated, []Loss{loss}, Lost},
		{"the second of two losses", 58 * time.Second, 61 * time.Second, Cut, []Loss{loss, {From: at(time.Minute), To: at(time.Minute)}}, Cut},
		{"nothing was lost", 0, time.Second, Unrepeated, nil, Lost},
		{"served", 10 * time.Second, 11 * time.Second, Served, []Loss{loss}, Served},
		{"lost at the loss", 0, time.Second, Lost, []Loss{loss}, Lost},
	} {
		given := []Result{{Scheduled: at(c.scheduled), Ended: at(c.ended), Fate: c.fate, Err: errors.New("it broke")}}
		if got := Held(given, c.losses...); got[0].Fate != c.want || given[0].Fate != c.fate {
			t.Errorf("%s: %v, want %v; the results themselves are %v", c.name, got[0].Fate, c.want, given[0].Fate)
		}
	}
}

// TestUnanswered: a call with an effect may fail only with the gateway's word
// that it may have been carried out.
func TestUnanswered(t *testing.T) {
	says := func(data string) error {
		return fmt.Errorf("calling tools/call: %w", &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "m", Data: json.RawMessage(data)})
	}
	for _, c := range []struct {
		name string
		err  error
		want Fate
	}{
		{"it may have been", says(`{"maybeExecuted":true,"reason":"ConnectError"}`), Unrepeated},
		{"it was not", says(`{"maybeExecuted":false}`), Lost},
		{"it does not say", says(""), Lost},
		{"it says something else", says(`"maybeExecuted"`), Lost},
		{"a broken connection", errors.New("EOF"), Lost},
	} {
		if got := unanswered(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWatcher(t *testing.T) {
	at := time.Unix(1000, 0)
	w := &Watcher{samples: []sample{{at, 3}, {at.Add(time.Second), 12}, {at.Add(time.Minute), 1}}}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, -1}, {500 * time.Millisecond, 3}, {1100 * time.Millisecond, 12}, {30 * time.Second, -1}} {
		if got := w.Before(at.Add(c.after)); got != c.want {
			t.Errorf("after %s: %d, want %d", c.after, got, c.want)
		}
	}
}
