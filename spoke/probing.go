package spoke

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/navehq/nave/api/atomicfile"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/spoke/probe"
)

// probing is the prefix of what the prober answers.
const probing = "probe/"

// probeKey is what the prober shows to this cluster's proxies, kept so that
// their tables stay as they are over a restart.
func probeKey(path string) (string, error) {
	key, err := os.ReadFile(path)
	if err == nil && len(key) >= 26 {
		return string(key), nil
	}
	fresh := rand.Text()
	if err := atomicfile.Replace(path, []byte(fresh)); err != nil {
		return "", fmt.Errorf("keep the prober's key: %w", err)
	}
	return fresh, nil
}

// targets are what of the cluster's Gateways the prober can use.
func (s *Spoke) targets() []probe.Target {
	proxies := map[string][]map[string][]string{}
	for _, p := range s.publisher.Proxies() {
		if p.Facts.Ready {
			proxies[p.Table] = append(proxies[p.Table], p.Facts.Listeners)
		}
	}
	var out []probe.Target
	t := *s.desk.current.Load()
	for _, name := range t.Tables() {
		if tab, _, ok := t.Table(name); ok {
			out = append(out, probe.Targets(tab, proxies[name])...)
		}
	}
	return out
}

// probe answers the hub's questions to the prober.
func (s *Spoke) probe(path string, body []byte) ([]byte, error) {
	out, err := s.prober.Answer(path, body)
	switch {
	case errors.Is(err, probe.ErrUnknown):
		return nil, &wire.Refusal{Status: http.StatusNotFound, Message: err.Error()}
	case err != nil:
		return nil, &wire.Refusal{Status: http.StatusConflict, Message: err.Error()}
	}
	return out, nil
}

// asksProber tells whether a question is the prober's.
func asksProber(path string) bool { return strings.HasPrefix(path, probing) }
