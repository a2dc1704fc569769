package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/navehq/nave/api/report"
)

// fleet is the running example.
type fleet struct {
	dir, bin string
	log      string
	command  *exec.Cmd
	ended    chan struct{}
	// real names the provider of the models where they are no simulators.
	real string
	// stats is where the lost region's model simulator tells what is in flight.
	stats string
	// models and tools are the entry's proxies of each gateway, host:port.
	models, tools []string
	status        report.Status
}

// launch starts `nave up` on a copy of the example.
func launch(s settings) (*fleet, error) {
	dir, err := os.MkdirTemp("", "nave-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the fleet: %w", err)
	}
	f := &fleet{dir: dir, bin: s.bin, log: filepath.Join(dir, "up.log"), ended: make(chan struct{})}
	if err := f.start(s); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start the fleet: %w", err)
	}
	fmt.Printf("fleet: %s, a copy of %s\n", dir, s.example)
	return f, nil
}

func (f *fleet) start(s settings) error {
	if err := f.prepare(s.example); err != nil {
		return err
	}
	out, err := os.Create(f.log)
	if err != nil {
		return err
	}
	defer out.Close()
	f.command = exec.Command(filepath.Join(s.bin, "nave"), "up", f.dir)
	f.command.Stdout, f.command.Stderr = out, out
	f.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if !s.keep {
		endsWithUs(f.command.SysProcAttr)
	}
	if err := f.command.Start(); err != nil {
		return err
	}
	go func() {
		_ = f.command.Wait() // how it ended, its log says
		close(f.ended)
	}()
	return nil
}

// up tells whether the fleet runs.
func (f *fleet) up() bool {
	select {
	case <-f.ended:
		return false
	default:
		return true
	}
}

// end ends the fleet; its folder stays where something went wrong.
func (f *fleet) end(clean bool) {
	_ = f.command.Process.Signal(syscall.SIGINT) // it may have ended
	select {
	case <-f.ended:
	case <-time.After(20 * time.Second):
		_ = syscall.Kill(-f.command.Process.Pid, syscall.SIGKILL)
		<-f.ended
	}
	if clean {
		_ = os.RemoveAll(f.dir)
		return
	}
	fmt.Printf("the fleet's folder stays: %s; its output, last:\n%s", f.dir, tail(f.log, 10))
}

// leave says how to use what runs on, and how to end it.
func (f *fleet) leave() {
	fmt.Println("\nthe fleet runs on; its gateways:")
	f.list()
	fmt.Print(grep(f.log, "console"))
	fmt.Printf("ask it: %s --dir %s status\nend it: kill %d\n", filepath.Join(f.bin, "nave"), f.dir, f.command.Process.Pid)
}

// nave runs a command of the CLI on the fleet.
func (f *fleet) nave(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var problems strings.Builder
	c := exec.CommandContext(ctx, filepath.Join(f.bin, "nave"), append([]string{"--dir", f.dir}, args...)...)
	c.Stderr = &problems
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("nave %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(problems.String()))
	}
	return out, nil
}

// wait waits until every gateway is programmed in every region.
func (f *fleet) wait(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	why := "it does not answer yet"
	for {
		if !f.up() {
			return errors.New("wait for the fleet: it ended")
		}
		var s report.Status
		if err := f.json(ctx, &s, "status"); err == nil {
			if why = unready(s); why == "" {
				f.status = s
				break
			}
		}
		if pause(ctx, 300*time.Millisecond) != nil {
			return fmt.Errorf("wait for the fleet: %s", why)
		}
	}
	fmt.Printf("every gateway is programmed in every region, after %s:\n", time.Since(began).Round(100*time.Millisecond))
	f.list()
	for _, p := range f.status.Problems {
		fmt.Printf("  problem: %s\n", p)
	}
	for _, g := range f.status.Gateways {
		if g.Cluster == entry && strings.Contains(g.Name, "mcp") {
			f.tools = hosts(g)
		} else if g.Cluster == entry {
			f.models = hosts(g)
		}
	}
	return nil
}

func (f *fleet) list() {
	for _, g := range f.status.Gateways {
		fmt.Printf("  %-16s %-28s %s\n", g.Cluster, g.Name, strings.Join(hosts(g), " "))
	}
}

// tail is the end of a file.
func tail(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	all := slices.Collect(strings.Lines(string(data)))
	return strings.Join(all[max(0, len(all)-n):], "")
}

// grep are the lines of a file that hold a word.
func grep(path, word string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, word) {
			out.WriteString(line)
		}
	}
	return out.String()
}
