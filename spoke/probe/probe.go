// Package probe is a spoke's prober: a real client that enters by the cluster's
// own proxies at a given rate while a drill runs, and counts what it sees. It
// carries requests, and decides nothing about the drill or about routing. Its
// requests are scheduled whether or not earlier ones have ended, and each is
// measured from the time it was scheduled for.
package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/navehq/nave/api/probe"
)

// Bounds of one run.
const (
	maxRate     = 500
	maxLife     = 20 * time.Minute
	maxInFlight = 1024
	maxBuckets  = int(maxLife / probe.Width)
	// perReport bounds one answer to the hub.
	perReport = 3000
	// patience is how long an answer may take before it counts as lost.
	patience = 10 * time.Second
)

// ErrUnknown is the answer to a path that a prober has no answer to.
var ErrUnknown = errors.New("a prober does not answer this")

// Options of a Prober.
type Options struct {
	// Cluster is the prober's own.
	Cluster string
	// Key is what requests show, so that proxies tell who served; see probe.Key.
	Key string
	// Targets lists what can be probed as of now.
	Targets func() []Target
	// Transport carries requests; nil dials by Dial, and that nil by the system.
	Transport http.RoundTripper
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	Now       func() time.Time
	Log       *slog.Logger
}

// Prober probes while the hub asks it to. It is safe for concurrent use.
type Prober struct {
	opts   Options
	client *http.Client

	mu   sync.Mutex
	run  *run
	done chan struct{} // of run
	stop context.CancelFunc
}

// New is a prober at rest.
func New(opts Options) *Prober {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	p := &Prober{opts: opts}
	p.client = p.clientBy(nil)
	return p
}

// clientOf is a client that enters as a target has it: one that trusts the
// listener's certificate, and asks for its name.
func (p *Prober) clientOf(t *Target) *http.Client {
	if t.Trust == nil {
		return p.client
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(t.Trust)
	return p.clientBy(&tls.Config{RootCAs: roots, ServerName: t.Host, MinVersion: tls.VersionTLS12})
}

func (p *Prober) clientBy(config *tls.Config) *http.Client {
	transport := p.opts.Transport
	if transport == nil {
		transport = &http.Transport{
			DialContext: p.opts.Dial, TLSClientConfig: config, MaxIdleConnsPerHost: maxInFlight, IdleConnTimeout: time.Minute,
			DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Answer answers what the hub asks under probe/.
func (p *Prober) Answer(path string, body []byte) ([]byte, error) {
	switch path {
	case probe.AskStart:
		var plan probe.Plan
		if err := json.Unmarshal(body, &plan); err != nil {
			return nil, fmt.Errorf("read what to probe: %w", err)
		}
		return nil, p.Start(plan)
	case probe.AskReport:
		var since probe.Since
		if err := json.Unmarshal(body, &since); err != nil {
			return nil, fmt.Errorf("read what to report: %w", err)
		}
		return json.Marshal(p.Report(since))
	case probe.AskStop:
		p.Stop()
		return nil, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknown, path)
}

// Start begins a run in place of any that is under way.
func (p *Prober) Start(plan probe.Plan) error {
	now := p.opts.Now()
	if plan.Rate < 1 || plan.Rate > maxRate {
		return fmt.Errorf("start probing: a rate of %d a second is not between 1 and %d", plan.Rate, maxRate)
	}
	if latest := now.Add(maxLife); plan.Until.After(latest) {
		plan.Until = latest
	}
	targets := p.opts.Targets()
	if len(targets) == 0 {
		return errors.New("start probing: no gateway here has a listener and a rule that a prober may use")
	}
	p.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), plan.Until.Sub(now))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run, p.stop, p.done = newRun(p, targets, plan.Rate), cancel, make(chan struct{})
	go func(r *run, done chan struct{}) {
		defer close(done)
		defer cancel()
		r.drive(ctx)
	}(p.run, p.done)
	return nil
}

// Stop ends the run that is under way, and waits for it; what it saw can still
// be reported.
func (p *Prober) Stop() {
	p.mu.Lock()
	stop, done := p.stop, p.done
	p.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
	p.client.CloseIdleConnections()
}

// Report tells what the latest run has seen.
func (p *Prober) Report(since probe.Since) probe.Report {
	p.mu.Lock()
	r := p.run
	p.mu.Unlock()
	out := probe.Report{Clock: p.opts.Now()}
	if r != nil {
		out.Buckets, out.Targets = r.counts.since(since.At), r.names()
	}
	return out
}
