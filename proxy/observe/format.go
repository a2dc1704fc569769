package observe

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
)

// Format is how logs are written: as key=value, or as JSON objects. It may be
// changed while they are.
type Format struct{ json atomic.Bool }

// SetJSON has lines from now on be JSON objects, or not.
func (f *Format) SetJSON(on bool) { f.json.Store(on) }

// Handler writes a log in this format, down to a level.
func (f *Format) Handler(w io.Writer, level slog.Leveler) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	return handler{f, slog.NewTextHandler(w, o), slog.NewJSONHandler(w, o)}
}

// handler holds the log in both formats, with the same attributes.
type handler struct {
	format     *Format
	text, json slog.Handler
}

func (h handler) now() slog.Handler {
	if h.format.json.Load() {
		return h.json
	}
	return h.text
}

// Enabled is the same for both.
func (h handler) Enabled(ctx context.Context, l slog.Level) bool { return h.text.Enabled(ctx, l) }

// Handle writes a record.
func (h handler) Handle(ctx context.Context, r slog.Record) error { return h.now().Handle(ctx, r) }

// WithAttrs adds attributes in both formats.
func (h handler) WithAttrs(a []slog.Attr) slog.Handler {
	return handler{h.format, h.text.WithAttrs(a), h.json.WithAttrs(a)}
}

// WithGroup opens a group in both formats.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.format, h.text.WithGroup(name), h.json.WithGroup(name)}
}
