package supervise

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	// joinLimit is how long the hub may take to make a token; one that was just
	// started anew needs a moment.
	joinLimit = 30 * time.Second
	// joinAgain is when a spoke that cannot join gets another token: it may have
	// lost the first in the middle of joining.
	joinAgain = 30 * time.Second
)

// joinToken has the hub make a token by which a cluster joins: nobody else writes
// to the fleet's authority.
func (s *Supervisor) joinToken(ctx context.Context, cluster string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	for {
		token, err := s.askToken(ctx, cluster)
		if err == nil {
			return token, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("have a token made for cluster %q: %w", cluster, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (s *Supervisor) askToken(ctx context.Context, cluster string) (string, error) {
	secret, err := os.ReadFile(s.state("token"))
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]string{"cluster": cluster, "who": "nave up"})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.ports.api+"/api/v1/tokens", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(strings.TrimSpace(string(data)))
	}
	var answer struct {
		Token string `json:"token"`
	}
	return answer.Token, json.Unmarshal(data, &answer)
}

// rejoin gives spokes that do not get in another token.
func (s *Supervisor) rejoin(ctx context.Context) {
	var late []*region
	s.mu.Lock()
	for _, r := range s.regions {
		if r.spoke != nil && !r.gone && r.spoke.fault() != nil && time.Since(r.joined) > joinAgain && !exists(s.state("clusters", r.name, "identity.json")) {
			r.joined = time.Now()
			late = append(late, r)
		}
	}
	s.mu.Unlock()
	for _, r := range late {
		if _, err := s.spokeOptions(ctx, r); err != nil {
			s.opts.Log.Warn("let a cluster join again", "cluster", r.name, "err", err)
		}
	}
}
