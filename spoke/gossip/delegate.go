package gossip

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"time"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls. No message of ours travels yet: membership
// and pings do.
type delegate struct{ g *Gossip }

func (d delegate) NodeMeta(int) []byte                  { return d.g.opts.Meta }
func (delegate) NotifyMsg([]byte)                       {}
func (delegate) GetBroadcasts(_, _ int) [][]byte        { return nil }
func (delegate) LocalState(bool) []byte                 { return nil }
func (delegate) MergeRemoteState([]byte, bool)          {}
func (delegate) AckPayload() []byte                     { return nil }
func (delegate) NotifyUpdate(*memberlist.Node)          {}
func (d delegate) NotifyJoin(n *memberlist.Node)        { d.g.came(n.Name) }
func (d delegate) NotifyLeave(n *memberlist.Node)       { d.g.left(n.Name) }
func (d delegate) NotifyAlive(n *memberlist.Node) error { return d.g.verify(n) }
func (d delegate) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, _ []byte) {
	d.g.measured(n.Name, rtt)
}

// newLogger puts memberlist's own words into the log, at the level that they
// name. What others do wrong is no error of this spoke.
func newLogger(l *slog.Logger) *log.Logger { return log.New(writer{l}, "", 0) }

type writer struct{ log *slog.Logger }

func (w writer) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.HasPrefix(line, []byte("[ERR]")) {
		level = slog.LevelWarn
	}
	w.log.Log(context.Background(), level, "gossip says", "line", string(bytes.TrimSpace(line)))
	return len(line), nil
}
