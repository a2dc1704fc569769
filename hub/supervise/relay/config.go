package relay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Bounds of a configuration that comes from outside.
const (
	maxConfigBytes = 4 << 20
	maxRoutes      = 16384
	maxLinks       = 65536
	maxDelay       = 10 * time.Second
)

// Config is the whole of a relay's world: what it forwards, and how far apart
// the clusters are.
type Config struct {
	Routes []Route `json:"routes"`
	Links  []Link  `json:"links"`
}

// Route forwards what reaches Listen to Target, as traffic that leaves cluster
// From and enters cluster To. Addresses are IP:port.
type Route struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Network string `json:"network"` // "tcp" or "udp"
	Listen  string `json:"listen"`
	Target  string `json:"target"`
	// Source is the local IP that the target sees; empty leaves it to the system.
	Source string `json:"source,omitempty"`
}

// Link is one direction of the path between two clusters. A pair that no Link
// names is as near as the loopback.
type Link struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Delay is one way: a round trip costs the Delay of both directions.
	Delay Duration `json:"delay"`
	// Jitter adds between nothing and itself to each delay, evenly drawn.
	Jitter Duration `json:"jitter"`
	// Loss is the share of packets lost, 0 ≤ Loss < 1. A lost datagram is gone; a
	// lost segment of a TCP stream stalls what is behind it until it is sent again.
	Loss float64 `json:"loss"`
	// Partition swallows everything in this direction and tells nobody.
	Partition bool `json:"partition"`
}

// Duration is a time.Duration written as in "33ms".
type Duration time.Duration

// MarshalJSON writes d as time.Duration prints it.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

// UnmarshalJSON reads what time.ParseDuration takes.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("reading a duration: %w", err)
	}
	value, err := time.ParseDuration(text)
	*d = Duration(value)
	return err
}

// Decode reads a configuration of at most 4 MiB and checks it. A field that it
// does not know is an error.
func Decode(from io.Reader) (Config, error) {
	limited := &io.LimitedReader{R: from, N: maxConfigBytes + 1}
	decoder := json.NewDecoder(limited)
	decoder.DisallowUnknownFields()
	var config Config
	err := decoder.Decode(&config)
	if limited.N == 0 {
		err = fmt.Errorf("longer than %d bytes", maxConfigBytes)
	}
	if err == nil {
		err = config.Validate()
	}
	if err != nil {
		return Config{}, fmt.Errorf("reading a relay's configuration: %w", err)
	}
	return config, nil
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	if len(c.Routes) > maxRoutes || len(c.Links) > maxLinks {
		return fmt.Errorf("%d routes and %d links: at most %d and %d", len(c.Routes), len(c.Links), maxRoutes, maxLinks)
	}
	var errs []error
	listens, pairs := map[socket]bool{}, map[pair]bool{}
	for i, route := range c.Routes {
		if err := route.validate(); err != nil {
			errs = append(errs, fmt.Errorf("routes[%d]: %w", i, err))
		}
		if listens[route.socket()] {
			errs = append(errs, fmt.Errorf("routes[%d]: %s %q is listened on twice", i, route.Network, route.Listen))
		}
		listens[route.socket()] = true
	}
	for i, link := range c.Links {
		if err := link.validate(); err != nil {
			errs = append(errs, fmt.Errorf("links[%d]: %w", i, err))
		}
		if pairs[pair{link.From, link.To}] {
			errs = append(errs, fmt.Errorf("links[%d]: from %q to %q is given twice", i, link.From, link.To))
		}
		pairs[pair{link.From, link.To}] = true
	}
	return errors.Join(errs...)
}

func (r Route) validate() error {
	if r.From == "" || r.To == "" {
		return errors.New("from and to are required")
	}
	if r.Network != "tcp" && r.Network != "udp" {
		return fmt.Errorf("network %q is neither tcp nor udp", r.Network)
	}
	for _, address := range []string{r.Listen, r.Target} {
		if _, err := netip.ParseAddrPort(address); err != nil {
			return fmt.Errorf("address %q: %w", address, err)
		}
	}
	if r.Source != "" {
		if _, err := netip.ParseAddr(r.Source); err != nil {
			return fmt.Errorf("source %q: %w", r.Source, err)
		}
	}
	return nil
}

func (l Link) validate() error {
	switch {
	case l.From == "" || l.To == "":
		return errors.New("from and to are required")
	case l.Delay < 0 || l.Jitter < 0 || time.Duration(l.Delay) > maxDelay || time.Duration(l.Jitter) > maxDelay:
		return fmt.Errorf("delay and jitter lie between 0 and %s", maxDelay)
	case !(l.Loss >= 0 && l.Loss < 1):
		return fmt.Errorf("loss %v is not in [0, 1); to lose everything, say partition", l.Loss)
	}
	return nil
}

// socket is what only one route can hold.
type socket struct{ network, listen string }

func (r Route) socket() socket { return socket{r.Network, r.Listen} }

// pair is one direction between two clusters.
type pair struct{ from, to string }
