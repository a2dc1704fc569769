package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/v1alpha1"
)

// fleet is a running `nave up`.
type fleet struct {
	dir string
	cmd *exec.Cmd
	// console is where its hub answers.
	console string
}

// startFleet runs the example on a copy of it.
func startFleet() (*fleet, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	bin := filepath.Dir(self)
	dir, err := os.MkdirTemp("", "nave-demo-")
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(filepath.Dir(bin), "docs", "examples", "three-regions"))); err != nil {
		return nil, fmt.Errorf("copy the example: %w", err)
	}
	log, err := os.Create(filepath.Join(dir, "nave-up.log"))
	if err != nil {
		return nil, err
	}
	f := &fleet{dir: dir, cmd: exec.Command(filepath.Join(bin, "nave"), "up", dir)}
	f.cmd.Stdout, f.cmd.Stderr = log, log
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return f, f.cmd.Start()
}

// stop ends the fleet; nothing of it is left.
func (f *fleet) stop() {
	_ = f.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { _ = f.cmd.Wait(); close(done) }()
	select {
	case <-done:
		_ = os.RemoveAll(f.dir)
	case <-time.After(20 * time.Second):
		_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL)
	}
}

func (f *fleet) call(ctx context.Context, method, path string, into any) error {
	if f.console == "" {
		var hub struct {
			API string `json:"api"`
		}
		data, err := os.ReadFile(filepath.Join(f.dir, ".nave", "run", "hub.json"))
		if err == nil {
			err = json.Unmarshal(data, &hub)
		}
		if err != nil {
			return err
		}
		f.console = "http://" + hub.API
	}
	req, err := http.NewRequestWithContext(ctx, method, f.console+path, nil)
	if err != nil {
		return err
	}
	if token, err := os.ReadFile(filepath.Join(f.dir, ".nave", "token")); err == nil {
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(data)))
	}
	return json.Unmarshal(data, into)
}

// doors are where the clients of eastus enter: a proxy each.
type doors struct{ models, tools []string }

// ready waits until every region serves both gateways with two proxies, and
// every region's links are measured.
func (f *fleet) ready(ctx context.Context) (doors, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		var s report.Status
		var paths []report.Path
		err := f.call(ctx, http.MethodGet, "/api/v1/status", &s)
		if err == nil {
			err = f.call(ctx, http.MethodGet, "/api/v1/latency", &paths)
		}
		if d, ok := enter(s); err == nil && ok && len(paths) >= 6 {
			return d, nil
		}
		select {
		case <-ctx.Done():
			return doors{}, fmt.Errorf("wait for the fleet: it does not serve within a minute (%v); its log is %s", err, filepath.Join(f.dir, "nave-up.log"))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func enter(s report.Status) (doors, bool) {
	var d doors
	complete := 0
	for _, g := range s.Gateways {
		for _, l := range g.Listeners {
			if len(l.URLs) != 2 {
				continue
			}
			complete++
			if g.Cluster != "eastus" {
				continue
			}
			if strings.Contains(g.Name, "mcp") {
				d.tools = l.URLs
			} else {
				d.models = l.URLs
			}
		}
	}
	return d, complete == 6
}

// drill starts the drill and follows it to its end.
func (f *fleet) drill(ctx context.Context, name string, onEvent func(v1alpha1.DrillEvent)) (v1alpha1.DrillStatus, error) {
	var s v1alpha1.DrillStatus
	if err := f.call(ctx, http.MethodPost, "/api/v1/drills/"+name+"/start", &s); err != nil {
		return s, err
	}
	told := 0
	for {
		for ; told < len(s.Timeline); told++ {
			onEvent(s.Timeline[told])
		}
		if s.Phase == v1alpha1.DrillPhaseDone {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		if err := f.call(ctx, http.MethodGet, "/api/v1/drills/"+name+"/report", &s); err != nil {
			return s, err
		}
	}
}
