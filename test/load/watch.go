package load

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Watcher follows what is in flight at a model simulator, by its own count.
type Watcher struct {
	url    string
	client http.Client

	mu      sync.Mutex
	samples []sample
}

type sample struct {
	at       time.Time
	inFlight int
}

const (
	// lookEvery is how often it is asked, fresh how old its last word may be.
	lookEvery = 20 * time.Millisecond
	fresh     = time.Second
)

// Watch asks a simulator at host:port until the context ends.
func Watch(ctx context.Context, host string) *Watcher {
	w := &Watcher{url: "http://" + host + "/_sim/stats", client: http.Client{Timeout: 500 * time.Millisecond}}
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.look(ctx)
			}
		}
	}()
	return w
}

func (w *Watcher) look(ctx context.Context) {
	at := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		return
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return // it is lost, or not there yet
	}
	defer resp.Body.Close()
	var stats struct {
		InFlight int `json:"inFlight"`
	}
	if json.NewDecoder(resp.Body).Decode(&stats) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.samples = append(w.samples, sample{at, stats.InFlight})
}

// Before is what was in flight when it last answered before t; -1 unknown.
func (w *Watcher) Before(t time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := -1
	for _, s := range w.samples {
		if s.at.Before(t) && t.Sub(s.at) < fresh {
			n = s.inFlight
		}
	}
	return n
}
