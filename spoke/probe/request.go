package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/navehq/nave/api/probe"
)

// maxAnswer bounds the part of an answer that is read.
const maxAnswer = 1 << 20

// request sends what is no session's, and judges the answer.
func (p *Prober) request(ctx context.Context, c *course, url string) outcome {
	kind := ""
	if c.Kind == AI {
		kind = "application/json"
	}
	resp, body, err := p.exchange(ctx, c, c.Kind.method(), url, http.Header{"Content-Type": {kind}}, c.Body)
	if err != nil {
		return outcome{lost: true, err: err}
	}
	o := p.told(resp)
	switch c.Kind {
	case AI, Models:
		o.failed = resp.StatusCode != http.StatusOK || !says(body, c.Kind)
	default:
		o.failed = resp.StatusCode >= 500
	}
	return o
}

// says tells whether an answer holds what was asked for: something chosen, or a
// list of models, which may be empty.
func says(body []byte, k Kind) bool {
	var answer struct {
		Choices []json.RawMessage `json:"choices"`
		Data    []json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return false
	}
	if k == Models {
		return answer.Data != nil
	}
	return len(answer.Choices) > 0
}

// exchange sends one request and reads the whole answer.
func (p *Prober) exchange(ctx context.Context, c *course, method, address string, h http.Header, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("probe %q: %w", c.Name, err)
	}
	if len(c.Query) > 0 {
		req.URL.RawQuery = c.Query.Encode()
	}
	if c.Host != "" {
		req.Host = c.Host
	}
	for name, value := range c.Header {
		req.Header.Set(name, value)
	}
	for name, values := range h {
		if values[0] != "" {
			req.Header.Set(name, values[0])
		}
	}
	req.Header.Set(probe.Key, p.opts.Key)
	resp, err := c.client.Do(req)
	if err != nil {
		// What the client says names the URL, which may hold a key.
		if said := (*url.Error)(nil); errors.As(err, &said) {
			err = said.Err
		}
		return nil, nil, fmt.Errorf("probe %q: %w", c.Name, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = errTooLong
	}
	if err != nil {
		return nil, nil, fmt.Errorf("probe %q: read the answer: %w", c.Name, err)
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
