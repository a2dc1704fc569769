package listen

import (
	"net"

	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
)

// metered is a connection as it comes from the network, below TLS, with its
// bytes counted. Until it is known whose they are, they wait.
type metered struct {
	net.Conn
	find           func(*message.TLS) *observe.Downstream
	count          *observe.Downstream
	received, sent int
}

// attribute says whose the connection's bytes are. It is called before anybody
// else holds the connection.
func (m *metered) attribute(to *observe.Downstream) {
	to.Received(m.received)
	to.Sent(m.sent)
	m.count = to
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if m.count == nil {
		m.received += n
	} else {
		m.count.Received(n)
	}
	return n, err
}

func (m *metered) Write(p []byte) (int, error) {
	n, err := m.Conn.Write(p)
	m.wrote(n)
	return n, err
}

// WriteBuffers writes several buffers by one system call.
func (m *metered) WriteBuffers(b *net.Buffers) (int64, error) {
	n, err := b.WriteTo(m.Conn)
	m.wrote(int(n))
	return n, err
}

func (m *metered) wrote(n int) {
	if m.count == nil {
		m.sent += n
	} else {
		m.count.Sent(n)
	}
}

// CloseWrite ends this direction and leaves the other open, where the
// connection can.
func (m *metered) CloseWrite() error {
	if w, ok := m.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return m.Close()
}

// NetConn is the connection below.
func (m *metered) NetConn() net.Conn { return m.Conn }
