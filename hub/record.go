package hub

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/audit"
)

// told is how many of the last orders the status tells of.
const told = 20

func (h *Hub) openAudit() (err error) {
	if h.opts.Audit == "" {
		h.opts.Audit = filepath.Join(h.opts.State, "audit.jsonl")
	}
	if err := os.MkdirAll(filepath.Dir(h.opts.Audit), 0o700); err != nil {
		return fmt.Errorf("make the audit log's folder: %w", err)
	}
	h.audit, err = audit.Open(h.opts.Audit, h.deps.Now)
	return err
}

// record writes an order down, with why it was refused. One that cannot be
// written is obeyed all the same: a full disk must not keep a region from being
// drained.
func (h *Hub) record(e audit.Entry, refused error) {
	if e.Who == "" {
		e.Who = "unknown"
	}
	if refused != nil {
		e.Refused = refused.Error()
	}
	h.deps.Log.Info("order", "who", e.Who, "what", e.What, "on", e.On, "why", e.Why, "refused", e.Refused)
	if err := h.audit.Append(e); err != nil {
		h.deps.Log.Error("keep what was ordered", "what", e.What, "on", e.On, "err", err)
	}
}

// ended is told of an order that came to its end by itself.
func (h *Hub) ended(o *v1alpha1.Operation) {
	h.record(audit.Entry{Who: "hub", What: strings.ToLower(string(o.Spec.Kind)) + " ended", On: string(o.Spec.Cluster), Why: "its time is over"}, nil)
}

// history is what was ordered last.
func (h *Hub) history() []report.Ordered {
	var out []report.Ordered
	for _, e := range h.audit.Recent(told) {
		out = append(out, report.Ordered{At: e.At, Who: e.Who, What: e.What, On: e.On, Why: e.Why, Until: e.Until, Refused: e.Refused})
	}
	return out
}
