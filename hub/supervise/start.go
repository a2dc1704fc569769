package supervise

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/navehq/nave/api/atomicfile"
	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/hub"
	"github.com/navehq/nave/hub/identity"
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
	if err := atomicfile.Replace(path, data); err != nil {
		return "", fmt.Errorf("write the options of %s: %w", name, err)
	}
	return path, nil
}

func (s *Supervisor) program(name, binary, options string) *program {
	return &program{
		name: name, path: filepath.Join(s.opts.Bin, binary), args: []string{"-options", options},
		dir: s.opts.Dir, env: []string{s.mark()}, log: s.state("logs", name+".log"), slog: s.opts.Log,
	}
}

// authority is the hub's, opened beside it on the same folder.
func (s *Supervisor) authority() (*identity.Authority, error) {
	return identity.Open(identity.Options{Keeper: keep.NewFile(s.state("hub", "authority.json")), Fleet: fleetName, Log: s.opts.Log})
}

// hubPorts are where the hub answers, host:port each.
type hubPorts struct{ streams, api, metrics, health string }

func (s *Supervisor) startHub(ctx context.Context) error {
	if err := os.MkdirAll(s.state("hub"), 0o700); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	if _, err := s.authority(); err != nil {
		return err
	}
	path, err := s.options("hub", hub.Options{
		Fleet: fleetName, Dir: filepath.Join(s.opts.Dir, "hub"), Clusters: filepath.Join(s.opts.Dir, "clusters"), State: s.state("hub"),
		Token: s.state("token"), Audit: s.state("audit.jsonl"), Heartbeat: s.opts.Heartbeat,
		Streams: s.ports.streams, API: s.ports.api, Metrics: s.ports.metrics, Health: s.ports.health,
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.hub = s.program("hub", "nave-hub", path)
	s.hub.start()
	s.mu.Unlock()
	if err := serves(ctx, s.ports.streams, 20*time.Second); err != nil {
		return fmt.Errorf("start the hub: %w; its log says: %s", err, s.hub.tail())
	}
	s.out.print("console  http://%s", s.ports.api)
	return nil
}

// settle takes the fleet's slot, one that nobody else has, and finds ports for
// the hub there.
func (s *Supervisor) settle(ctx context.Context) error {
	for _, free := range []func(string) bool{
		func(ip string) bool { return s.claim(ctx, ip) },
		// Somebody may have the hub's port at every address: another is found then.
		func(ip string) bool { return s.hold(ctx, ip) },
	} {
		if err := s.addresses.settle(free); err != nil {
			return err
		}
		if s.slot != nil {
			break
		}
	}
	ip := s.addresses.hub()
	s.ports = hubPorts{
		streams: s.open(ctx, "the hub", at(ip, 9443)), api: s.open(ctx, "the console", at(ip, 8080)),
		metrics: s.open(ctx, "the hub", at(ip, 9092)), health: s.open(ctx, "the hub", at(ip, 9093)),
	}
	return nil
}

// open gives an address that can be opened: the wanted one, or one with a free
// port, which people are told of.
func (s *Supervisor) open(ctx context.Context, what, wanted string) string {
	host, _, err := net.SplitHostPort(wanted)
	if err != nil {
		return wanted
	}
	var cause error
	for _, address := range []string{wanted, at(host, 0), at("127.0.0.1", 0)} {
		var c net.ListenConfig
		l, err := c.Listen(ctx, "tcp", address)
		if err != nil {
			cause = cmp.Or(cause, err)
			continue
		}
		found := l.Addr().String()
		_ = l.Close() // nothing was served
		if found != wanted {
			s.out.print("notice   %s cannot have %s: %v; it has %s", what, wanted, cause, found)
		}
		return found
	}
	return wanted
}

// slotPort of the hub's address is held for as long as the fleet runs, so that
// no other fleet takes the slot while the hub is down.
const slotPort = 9440

// claim takes an address for the hub where nobody has it, nor the hub's port there.
func (s *Supervisor) claim(ctx context.Context, ip string) bool {
	if !s.hold(ctx, ip) {
		return false
	}
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", at(ip, 9443))
	if err != nil {
		_ = s.slot.Close()
		s.slot = nil
		return false
	}
	return l.Close() == nil
}

// hold takes an address for the hub where no other fleet has it.
func (s *Supervisor) hold(ctx context.Context, ip string) bool {
	var c net.ListenConfig
	slot, err := c.Listen(ctx, "tcp", at(ip, slotPort))
	if err != nil {
		return false
	}
	s.slot = slot
	return true
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
