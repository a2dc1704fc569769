package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/navehq/nave/api/probe"
)

// maxAnswer bounds the part of an answer that is read.
const maxAnswer = 1 << 20

// request sends a chat completion or a plain GET, and judges the answer.
func (p *Prober) request(ctx context.Context, t *Target, url string) outcome {
	method, kind := http.MethodGet, ""
	if t.Kind == AI {
		method, kind = http.MethodPost, "application/json"
	}
	resp, body, err := p.exchange(ctx, t, method, url, http.Header{"Content-Type": {kind}}, t.Body)
	if err != nil {
		return outcome{lost: true, err: err}
	}
	o := p.told(resp)
	o.failed = resp.StatusCode >= 500
	if t.Kind == AI {
		var answer struct {
			Choices []json.RawMessage `json:"choices"`
		}
		err := json.Unmarshal(body, &answer)
		o.failed = resp.StatusCode != http.StatusOK || err != nil || len(answer.Choices) == 0
	}
	return o
}

// exchange sends one request and reads the whole answer.
func (p *Prober) exchange(ctx context.Context, t *Target, method, url string, h http.Header, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("probe %q: %w", t.Name, err)
	}
	if t.Host != "" {
		req.Host = t.Host
	}
	for name, value := range t.Header {
		req.Header.Set(name, value)
	}
	for name, values := range h {
		if values[0] != "" {
			req.Header.Set(name, values[0])
		}
	}
	req.Header.Set(probe.Key, p.opts.Key)
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("probe %q: %w", t.Name, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = errTooLong
	}
	if err != nil {
		return nil, nil, fmt.Errorf("probe %q: read the answer: %w", t.Name, err)
	}
	return resp, data, nil
}

// told is what a proxy tells of an answer.
func (p *Prober) told(resp *http.Response) outcome {
	o := outcome{cluster: p.opts.Cluster, status: resp.StatusCode}
	if cluster, _, found := strings.Cut(resp.Header.Get(probe.ServedBy), "/"); found {
		o.cluster = cluster
	}
	o.attempts, _ = strconv.Atoi(resp.Header.Get(probe.Attempts))
	o.reinitialised = resp.Header.Get(probe.SessionMoved) == probe.Reinitialised
	return o
}
