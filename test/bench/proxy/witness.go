package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// The counters that a model call moves: that it was answered, and that its
// tokens were counted, once for what went in and once for what came out.
const (
	counterOfRequests = "agentgateway_requests_total{"
	counterOfTokens   = "agentgateway_gen_ai_client_token_usage_count{"
)

// patience is how long lines may wait for company before they are in a file.
const patience = 10 * time.Second

// witness looks for every request of a subject in its access log and, where it
// has some, in its metrics: who left them out would have been cheaper.
func (r result) witness(ctx context.Context) error {
	if r.log == "" {
		return nil
	}
	var lines int
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		var err error
		if lines, err = linesOf(r.log); err != nil {
			return err
		}
		if lines >= r.sent {
			break
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("%d were sent, %d are in the access log", r.sent, lines)
		}
	}
	if r.metrics == "" {
		return nil
	}
	page, err := get(ctx, r.metrics)
	if err != nil {
		return err
	}
	if n := sum(page, counterOfRequests); n < r.sent {
		return fmt.Errorf("%d were sent, %d were counted", r.sent, n)
	}
	if n := sum(page, counterOfTokens); n < 2*r.sent {
		return fmt.Errorf("%d were sent, tokens were counted %d times and not twice for each", r.sent, n)
	}
	return nil
}

func linesOf(path string) (n int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	buf := make([]byte, 1<<20)
	for {
		m, err := file.Read(buf)
		n += bytes.Count(buf[:m], []byte{'\n'})
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// sum adds up what a page of metrics has under a name.
func sum(page []byte, name string) int {
	total := 0.0
	for s := bufio.NewScanner(bytes.NewReader(page)); s.Scan(); {
		line := s.Text()
		if !strings.HasPrefix(line, name) {
			continue
		}
		if v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64); err == nil {
			total += v
		}
	}
	return int(total)
}

func get(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// profile keeps the proxy busy and has it write down where its time goes.
func (s *scene) profile(ctx context.Context, set settings, x subject) error {
	ended := make(chan error, 1)
	go func() {
		_, err := s.load(ctx, order{x.address, set.connections, 0, set.duration + time.Second})
		ended <- err
	}()
	data, err := get(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", x.admin, max(1, int(set.duration.Seconds()))))
	if err = errors.Join(err, <-ended); err != nil {
		return err
	}
	return os.WriteFile(set.profile, data, 0o600)
}
