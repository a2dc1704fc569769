// Package process keeps proxies running as processes of this machine: it tells
// the supervisor, over its socket, which are wanted. The supervisor starts,
// watches and ends them. It decides nothing.
package process

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Proxy is one proxy that is wanted. Options are its options file, all but the
// address, which the supervisor fills in.
type Proxy struct {
	Name    string          `json:"name"`
	Options json.RawMessage `json:"options"`
	// Env are variables of its process, NAME=value.
	Env []string `json:"env,omitempty"`
	// Drain is how long it may take to end, seconds; 0 leaves it to the supervisor.
	Drain int64 `json:"drain,omitempty"`
}

// Wanted is the complete list of a cluster's proxies.
type Wanted struct {
	Proxies []Proxy `json:"proxies"`
}

// Supervisor reaches the supervisor of `nave up`.
type Supervisor struct{ client *http.Client }

// New dials the supervisor's unix socket.
func New(socket string) *Supervisor {
	var d net.Dialer
	return &Supervisor{&http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		}},
	}}
}

// Run has exactly these proxies run.
func (s *Supervisor) Run(ctx context.Context, cluster string, w Wanted) error {
	body, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("ask the supervisor for proxies: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://supervisor/v1/clusters/"+url.PathEscape(cluster)+"/proxies", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the supervisor for proxies: %w", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the supervisor for proxies: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("ask the supervisor for proxies: it answers %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return nil
}
