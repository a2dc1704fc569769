package proxy

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/observe"
)

// The table sets how loud and in which format the proxy logs, at once; what a
// person sets stays until the table says something else.
func TestHeed(t *testing.T) {
	var out bytes.Buffer
	level, format := &slog.LevelVar{}, &observe.Format{}
	p := &Proxy{deps: Deps{Level: level, Format: format}}
	log := slog.New(format.Handler(&out, level)).With("a", 1)
	said := func(r table.Runtime) string {
		tab := table.New().Apply(table.Change{ID: (&table.Self{}).ID(), Resource: &table.Self{Runtime: r}})
		p.heed(tab)
		out.Reset()
		log.Debug("quiet")
		log.Error("loud")
		return out.String()
	}
	if got := said(table.Runtime{}); strings.Contains(got, "quiet") || !strings.Contains(got, "msg=loud a=1") {
		t.Errorf("told nothing: %q", got)
	}
	if got := said(table.Runtime{LogLevel: "debug", LogFormat: "json"}); !strings.Contains(got, `"msg":"quiet","a":1`) {
		t.Errorf("told debug and json: %q", got)
	}
	if got := said(table.Runtime{LogLevel: table.LogOff}); got != "" {
		t.Errorf("told off: %q", got)
	}
	level.Set(slog.LevelDebug)
	if got := said(table.Runtime{LogLevel: table.LogOff}); !strings.Contains(got, "quiet") {
		t.Errorf("a person's level is taken back: %q", got)
	}
	if got := said(table.Runtime{}); strings.Contains(got, "quiet") || !strings.Contains(got, "loud") {
		t.Errorf("told nothing again: %q", got)
	}
}
