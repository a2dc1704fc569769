package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// watcher follows what is in flight at the lost region's model, by its own count.
type watcher struct {
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

func watch(ctx context.Context, url string) *watcher {
	w := &watcher{url: url, client: http.Client{Timeout: 500 * time.Millisecond}}
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

func (w *watcher) look(ctx context.Context) {
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

// before is what was in flight when it last answered before t; -1 unknown.
func (w *watcher) before(t time.Time) int {
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
