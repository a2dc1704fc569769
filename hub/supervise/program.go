package supervise

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// grace is how long a process may take to end before it is killed.
	grace = 12 * time.Second
	// The waits before a process that died is started again.
	firstWait, longestWait = 100 * time.Millisecond, 5 * time.Second
)

// lines writes whole lines of many processes to one place.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func newLines(w io.Writer) *lines { return &lines{w: w} }

func (l *lines) print(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format+"\n", args...)
}

// program keeps one process running.
type program struct {
	name string
	path string
	args []string
	dir  string
	env  []string
	log  string
	slog *slog.Logger

	// runs is how often it was started.
	runs atomic.Int64

	mu      sync.Mutex
	process *os.Process
	held    bool // not to be restarted
	ended   bool
	wake    chan struct{}
	done    chan struct{}
}

// start starts a process and keeps it running until stop.
func (p *program) start() {
	p.wake, p.done = make(chan struct{}, 1), make(chan struct{})
	go p.keep()
}

func (p *program) keep() {
	defer close(p.done)
	wait := firstWait
	for {
		began := time.Now()
		err := p.once()
		if p.over() {
			return
		}
		if p.onHold() {
			<-p.wake
			if p.over() {
				return
			}
			wait = firstWait
			continue
		}
		if time.Since(began) > 10*time.Second {
			wait = firstWait
		}
		p.slog.Warn("a process ended and is started again", "process", p.name, "cause", err, "after", wait)
		select {
		case <-time.After(wait):
		case <-p.wake:
		}
		wait = min(2*wait, longestWait)
	}
}

func (p *program) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

func (p *program) onHold() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// once runs the process once. It dies with the supervisor.
func (p *program) once() error {
	file, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = p.dir, append(os.Environ(), p.env...), attributes()
	cmd.Stdout, cmd.Stderr = file, file
	p.mu.Lock()
	if p.ended || p.held {
		p.mu.Unlock()
		return nil
	}
	err = cmd.Start()
	if err == nil {
		p.process = cmd.Process
		p.runs.Add(1)
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	err = cmd.Wait()
	p.mu.Lock()
	p.process = nil
	p.mu.Unlock()
	return err
}

// signal reaches the process and what it started.
func (p *program) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process != nil {
		_ = syscall.Kill(-p.process.Pid, sig) // one that has ended meanwhile is no failure
	}
}

// kill kills the process and keeps it down.
func (p *program) kill() {
	p.mu.Lock()
	p.held = true
	p.mu.Unlock()
	p.signal(syscall.SIGKILL)
}

// revive lets a killed process run again.
func (p *program) revive() {
	p.mu.Lock()
	p.held = false
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// stop ends the process for good and waits for it.
func (p *program) stop() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
		p.signal(syscall.SIGKILL)
		<-p.done
	}
}

// tail gives the last line of the process' log.
func (p *program) tail() string {
	file, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer file.Close()
	last := ""
	for scan := bufio.NewScanner(file); scan.Scan(); {
		last = scan.Text()
	}
	return last
}
