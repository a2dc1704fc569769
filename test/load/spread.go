package load

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// sighting is who answered a request.
type sighting struct{ by atomic.Pointer[string] }

type sightingKey struct{}

func (s *sighting) cluster() string {
	if by := s.by.Load(); by != nil {
		return *by
	}
	return ""
}

// spread sends requests to several proxies in turn.
type spread struct {
	hosts []string
	turn  atomic.Uint64
	base  http.RoundTripper
}

func newSpread(hosts []string) *spread {
	return &spread{hosts: hosts, base: &http.Transport{
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute,
	}}
}

// RoundTrip goes to the next proxy, and notes who served.
func (s *spread) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = s.hosts[s.turn.Add(1)%uint64(len(s.hosts))]
	resp, err := s.base.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", r.URL.Host, err)
	}
	seen, _ := r.Context().Value(sightingKey{}).(*sighting)
	if cluster, _, found := strings.Cut(resp.Header.Get("x-nave-served-by"), "/"); found && seen != nil {
		seen.by.Store(&cluster)
	}
	return resp, nil
}
