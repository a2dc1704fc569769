//go:build !unix

package http1

import "net"

// peeker knows nothing here: a client that is gone shows at the next write.
type peeker struct{}

func newPeeker(net.Conn) *peeker { return nil }
func (p *peeker) gone() bool     { return false }
func (p *peeker) silent() bool   { return true }
