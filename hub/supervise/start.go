package supervise

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/hub"
	"github.com/navehq/nave/hub/identity"
	"github.com/navehq/nave/spoke"
)

// fleetName is what identities of a standalone fleet carry.
const fleetName = "standalone"

func at(ip string, port int) string { return net.JoinHostPort(ip, strconv.Itoa(port)) }

// options writes a process' options file, readable by nobody else.
func (s *Supervisor) options(name string, v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("write the options of %s: %w", name, err)
	}
	path := s.state("run", name+".json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", fmt.Errorf("write the options of %s: %w", name, err)
	}
	return path, nil
}

func (s *Supervisor) program(name, binary, options string) *program {
	return &program{
		name: name, path: filepath.Join(s.opts.Bin, binary), args: []string{"-options", options},
		dir: s.opts.Dir, log: s.state("logs", name+".log"), slog: s.opts.Log,
	}
}

// authority is the hub's, opened beside it on the same folder.
func (s *Supervisor) authority() (*identity.Authority, error) {
	return identity.Open(identity.Options{Keeper: keep.NewFile(s.state("hub", "authority.json")), Fleet: fleetName, Log: s.opts.Log})
}

func (s *Supervisor) startHub(ctx context.Context) error {
	if err := os.MkdirAll(s.state("hub"), 0o700); err != nil {
		return err
	}
	if err := s.addresses.settle(func(ip string) bool { return s.claim(ctx, ip) }); err != nil {
		return err
	}
	if _, err := s.authority(); err != nil {
		return err
	}
	path, err := s.options("hub", hub.Options{
		Fleet: fleetName, Dir: filepath.Join(s.opts.Dir, "hub"), Clusters: filepath.Join(s.opts.Dir, "clusters"), State: s.state("hub"), Token: s.state("token"),
		Streams: at(s.addresses.hub(), 9443), API: at(s.addresses.hub(), 8080), Metrics: at(s.addresses.hub(), 9092), Health: at(s.addresses.hub(), 9093),
		Heartbeat: s.opts.Heartbeat,
	})
	if err != nil {
		return err
	}
	s.hub = s.program("hub", "nave-hub", path)
	s.hub.start()
	if err := serves(ctx, at(s.addresses.hub(), 9443), 20*time.Second); err != nil {
		return fmt.Errorf("start the hub: %w; its log says: %s", err, s.hub.tail())
	}
	s.out.print("console  http://%s", at(s.addresses.hub(), 8080))
	return nil
}

// slotPort of the hub's address is held for as long as the fleet runs, so that
// no other fleet takes the slot while the hub is down.
const slotPort = 9440

// claim takes an address for the hub where nobody has it.
func (s *Supervisor) claim(ctx context.Context, ip string) bool {
	var c net.ListenConfig
	slot, err := c.Listen(ctx, "tcp", at(ip, slotPort))
	if err != nil {
		return false
	}
	l, err := c.Listen(ctx, "tcp", at(ip, 9443))
	if err != nil {
		_ = slot.Close()
		return false
	}
	s.slot = slot
	return l.Close() == nil
}

// serves waits until something listens.
func serves(ctx context.Context, address string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", address, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// startRegion starts a cluster: its programs, then its spoke.
func (s *Supervisor) startRegion(ctx context.Context, name string) error {
	r := &region{name: name, proxies: map[string]*program{}}
	s.mu.Lock()
	s.regions[name] = r
	s.mu.Unlock()
	s.readPrograms(ctx, r)
	ip, err := s.addresses.of(name, "spoke")
	if err != nil {
		return err
	}
	state, hubAt := s.state("clusters", name), s.addresses.hub()
	if exists(s.wanPath()) {
		hubAt = s.addresses.hubFrom(name)
	}
	opts := spoke.Options{
		Cluster: name, Hub: at(hubAt, 9443), Dir: filepath.Join(s.opts.Dir, "clusters", name), State: state,
		Statuses: filepath.Join(state, "statuses"), Config: at(ip, 9978), Metrics: at(ip, 9092), Health: at(ip, 9093),
		API: at(ip, 8080), APIToken: s.state("token"), Gossip: at(ip, 7946),
		Supervisor: s.socket(), Heartbeat: s.opts.Heartbeat, AnyPort: true,
	}
	if _, err := os.Stat(filepath.Join(state, "identity.json")); err != nil {
		authority, err := s.authority()
		if err != nil {
			return err
		}
		if opts.Token, err = authority.CreateToken(name, time.Hour); err != nil {
			return err
		}
	}
	path, err := s.options("spoke-"+name, opts)
	if err != nil {
		return err
	}
	r.spoke = s.program("spoke-"+name, "nave-spoke", path)
	r.spoke.start()
	return nil
}
