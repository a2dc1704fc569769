package proxy

import (
	"context"
	"log/slog"
	"time"

	"github.com/navehq/nave/api/table"
)

// logOff is above every level that is logged.
const logOff = slog.Level(100)

// heed takes into effect what the table says of the logs. A level that a person
// has set meanwhile stays until the table's changes.
func (p *Proxy) heed(t table.Table) {
	var now table.Runtime
	if self := table.Find[*table.Self](t, "self"); self != nil {
		now = self.Runtime
	}
	before := p.runtime.Swap(&now)
	if before == nil {
		before = &table.Runtime{}
	}
	if now.LogFormat != before.LogFormat {
		p.deps.Format.SetJSON(now.LogFormat == "json")
	}
	if now.LogLevel == before.LogLevel {
		return
	}
	level := logOff
	if now.LogLevel != table.LogOff && level.UnmarshalText([]byte(now.LogLevel)) != nil {
		level = slog.LevelInfo
	}
	p.deps.Level.Set(level)
}

// end takes nothing new after the least time that the table asks for, and
// finishes what was begun until the longest is over.
func (p *Proxy) end(ctx context.Context) error {
	least, most := time.Duration(0), drain
	if told := p.runtime.Load(); told != nil && told.Drain != nil {
		least, most = time.Duration(told.Drain.Min)*time.Second, time.Duration(told.Drain.Max)*time.Second
	}
	last, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	select {
	case <-time.After(least):
	case <-last.Done():
	}
	p.sockets.Drain(last)
	return p.linkServer.Shutdown(last)
}
