// Package standalone runs a fleet by `nave up`, as people do, and looks at it
// from outside: by the CLI, by its files and by its processes. It knows nothing
// of how the programs work.
package standalone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/v1alpha1"
)

// Options of a Fleet. Bin and Dir are required.
type Options struct {
	// Bin is where the programs are, Dir the fleet's folder.
	Bin, Dir string
	// Keep lets the fleet outlive whoever started it.
	Keep bool
	// Env is added to the environment, KEY=value each.
	Env []string
}

// Fleet is a fleet that `nave up` runs.
type Fleet struct {
	opts    Options
	command *exec.Cmd
	ended   chan struct{}
	err     error // how it ended, once it has
}

// Start starts `nave up`.
func Start(opts Options) (*Fleet, error) {
	f := &Fleet{opts: opts, ended: make(chan struct{})}
	out, err := os.Create(f.Log())
	if err != nil {
		return nil, fmt.Errorf("start the fleet: %w", err)
	}
	defer out.Close()
	f.command = exec.Command(filepath.Join(opts.Bin, "nave"), "up", opts.Dir)
	f.command.Env = append(append(os.Environ(), opts.Env...), f.mark())
	f.command.Stdout, f.command.Stderr = out, out
	f.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if !opts.Keep {
		endsWithUs(f.command.SysProcAttr)
	}
	if err := f.command.Start(); err != nil {
		return nil, fmt.Errorf("start the fleet: %w", err)
	}
	go func() {
		f.err = f.command.Wait()
		close(f.ended)
	}()
	return f, nil
}

// Dir is the fleet's folder.
func (f *Fleet) Dir() string { return f.opts.Dir }

// Log is the file with what `nave up` prints.
func (f *Fleet) Log() string { return filepath.Join(f.opts.Dir, "up.log") }

// Process is `nave up` itself.
func (f *Fleet) Process() *os.Process { return f.command.Process }

// Up tells whether the fleet runs.
func (f *Fleet) Up() bool {
	select {
	case <-f.ended:
		return false
	default:
		return true
	}
}

// patience is how long a fleet has to end; Farewell bounds how long End takes.
const (
	patience = 20 * time.Second
	Farewell = patience + time.Second
)

// End ends the fleet, and says what was wrong with its end: it did not go by
// itself when it was asked to, or with another exit code than 0, or left processes.
func (f *Fleet) End() error {
	_ = f.command.Process.Signal(syscall.SIGINT) // it may have ended
	select {
	case <-f.ended:
	case <-time.After(patience):
		_ = syscall.Kill(-f.command.Process.Pid, syscall.SIGKILL)
		<-f.ended
		return errors.New("end the fleet: it did not end when it was asked to")
	}
	if f.err != nil {
		return fmt.Errorf("end the fleet: %w", f.err)
	}
	left, err := f.Processes()
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("it left processes behind: %v", left)
	}
	if err != nil {
		return fmt.Errorf("end the fleet: %w", err)
	}
	return nil
}

// Nave runs a command of the CLI on the fleet and gives what it prints.
func (f *Fleet) Nave(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var problems strings.Builder
	c := exec.CommandContext(ctx, filepath.Join(f.opts.Bin, "nave"), append([]string{"--dir", f.opts.Dir}, args...)...)
	c.Stderr = &problems
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("nave %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(problems.String()))
	}
	return out, nil
}

// JSON reads what a command of the CLI prints as JSON.
func (f *Fleet) JSON(ctx context.Context, into any, args ...string) error {
	data, err := f.Nave(ctx, append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// Expected is what a fleet is to come to.
type Expected struct {
	// Clusters are connected; each has Gateways, each of them of Replicas proxies.
	Clusters, Gateways, Replicas int
}

// Wait waits until the fleet is as expected.
func (f *Fleet) Wait(ctx context.Context, want Expected) (report.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	why := "it does not answer yet"
	for {
		if !f.Up() {
			return report.Status{}, errors.New("wait for the fleet: it ended")
		}
		var s report.Status
		if err := f.JSON(ctx, &s, "status"); err == nil {
			if why = want.missing(s); why == "" {
				return s, nil
			}
		}
		select {
		case <-ctx.Done():
			return report.Status{}, fmt.Errorf("wait for the fleet: %s", why)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// missing says what is missing; "" for nothing.
func (e Expected) missing(s report.Status) string {
	if len(s.Clusters) < e.Clusters || len(s.Gateways) < e.Clusters*e.Gateways {
		return fmt.Sprintf("there are %d clusters and %d gateways", len(s.Clusters), len(s.Gateways))
	}
	for _, c := range s.Clusters {
		waits := slices.ContainsFunc(c.Proxies, func(p report.Proxy) bool { return !p.Ready })
		if c.Lease != string(v1alpha1.LeaseConnected) || len(c.Proxies) < e.Gateways*e.Replicas || waits {
			return fmt.Sprintf("cluster %s is %s, its proxies are %+v", c.Name, c.Lease, c.Proxies)
		}
	}
	for _, g := range s.Gateways {
		if len(Hosts(g)) < e.Replicas || !programmed(g.Conditions) {
			return fmt.Sprintf("gateway %s in %s is not programmed: %s", g.Name, g.Cluster, g.Conditions)
		}
	}
	return ""
}

// programmed reads a Gateway's conditions; where it is only placed it may have none.
func programmed(conditions json.RawMessage) bool {
	var list []struct{ Type, Status string }
	if len(conditions) == 0 || json.Unmarshal(conditions, &list) != nil {
		return true
	}
	return !slices.ContainsFunc(list, func(c struct{ Type, Status string }) bool { return c.Type == "Programmed" && c.Status != "True" })
}

// Hosts are host:port of every proxy of a gateway.
func Hosts(g report.Gateway) []string {
	var out []string
	for _, l := range g.Listeners {
		for _, u := range l.URLs {
			if parsed, err := url.Parse(u); err == nil {
				out = append(out, parsed.Host)
			}
		}
	}
	return out
}

// Gateway gives the host:port of every proxy of a gateway in a cluster.
func Gateway(s report.Status, cluster, name string) []string {
	for _, g := range s.Gateways {
		if g.Cluster == cluster && g.Name == name {
			return Hosts(g)
		}
	}
	return nil
}

// Tail is the end of a file.
func Tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	all := slices.Collect(strings.Lines(string(data)))
	return strings.Join(all[max(0, len(all)-lines):], "")
}
