package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/wire"
)

// errNoBackend is the cause where nobody who answers has a backend.
var errNoBackend = errors.New("no proxy has such a backend; `nave status -o json` lists those that there are")

// explain asks the proxies of a cluster, or of all.
func (h *Hub) explain(ctx context.Context, backend, from string) ([]report.Explanation, error) {
	if backend == "" {
		return nil, fmt.Errorf("explain: %w: name a backend", errRequest)
	}
	if from != "" {
		if err := h.knows("explain from", from); err != nil {
			return nil, err
		}
	}
	body, err := json.Marshal(map[string]string{"backend": backend})
	if err != nil {
		return nil, err
	}
	var out []report.Explanation
	var silent []string
	for _, c := range h.board.Clusters() {
		if from != "" && c.Name != from {
			continue
		}
		e, err := h.explainFrom(ctx, c.Name, body)
		switch refusal := (*wire.Refusal)(nil); {
		case err == nil:
			out = append(out, e)
		case errors.As(err, &refusal) && refusal.Status == http.StatusNotFound: // it has none
		case errors.As(err, &refusal):
			silent = append(silent, c.Name+": "+refusal.Message)
		case errors.Is(err, errNoSpoke):
			silent = append(silent, c.Name+": "+errNoSpoke.Error())
		default:
			silent = append(silent, c.Name+": "+err.Error())
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case len(silent) > 0:
		return nil, fmt.Errorf("explain backend %q: nobody can: %s", backend, strings.Join(silent, "; "))
	}
	return nil, fmt.Errorf("explain backend %q: %w", backend, errNoBackend)
}

func (h *Hub) explainFrom(ctx context.Context, cluster string, question []byte) (report.Explanation, error) {
	e := report.Explanation{}
	data, err := h.askSpoke(ctx, cluster, "explain", question)
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	e.Cluster = cluster
	return e, err
}
