package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/navehq/nave/api/table"
)

// tokenClient is how identity providers are asked: their names may be mapped to
// other addresses with a CA of their own, as providers' are.
func (p *Proxy) tokenClient() *http.Client {
	transport := &http.Transport{
		DialTLSContext:      p.dialMapped,
		DialContext:         p.deps.Dial,
		ForceAttemptHTTP2:   false,
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     30 * time.Second,
	}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func (p *Proxy) dialMapped(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if h, ok := p.forwarder.Index().Find(table.ID{Kind: table.KindHost, Name: strings.ToLower(address)}).(*table.Host); ok {
		address = h.Address
		if h.CA != "" {
			config.RootCAs = x509.NewCertPool()
			config.RootCAs.AppendCertsFromPEM([]byte(h.CA))
		}
	}
	conn, err := p.deps.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secured, nil
}
