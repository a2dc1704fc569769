package supervise

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// grace is how long a process may take to end before it is killed, and longer
	// where it has been told to drain for longer.
	grace = 12 * time.Second
	// proxyDrain is how long a proxy drains that is told nothing.
	proxyDrain = 10 * time.Second
	// The waits before a process that died is started again.
	firstWait, longestWait = 100 * time.Millisecond, 5 * time.Second
	// steady is how long a process has to run until it counts as one that works,
	// and faulty how often in a row it may end before that until people are told.
	steady = 10 * time.Second
	faulty = 4
)

// backoff is how long to wait before a process is started again.
type backoff struct{ wait time.Duration }

// next is the wait after a process has run for a while.
func (b *backoff) next(ran time.Duration) time.Duration {
	if b.wait == 0 || ran > steady {
		b.wait = firstWait
		return b.wait
	}
	b.wait = min(2*b.wait, longestWait)
	return b.wait
}

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

	// ready tells whether a proxy serves.
	ready func() bool
	// listed programs are in a region's own file.
	listed bool
	// runs is how often it was started.
	runs atomic.Int64

	mu      sync.Mutex
	process *os.Process
	began   time.Time
	// more are variables besides env, and drain is how long it may take to end.
	more  []string
	drain time.Duration
	held  bool // not to be restarted
	ended bool
	// again has it started anew as if for the first time.
	again bool
	// quick counts how often in a row it ended soon, and cause is why it did last.
	quick int
	cause error
	wake  chan struct{}
	done  chan struct{}
}

// start starts a process and keeps it running until stop.
func (p *program) start() {
	p.wake, p.done = make(chan struct{}, 1), make(chan struct{})
	go p.keep()
}

func (p *program) keep() {
	defer close(p.done)
	var wait backoff
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
			wait = backoff{}
			continue
		}
		ran := time.Since(began)
		if p.failed(ran, err) {
			wait = backoff{}
			continue
		}
		pause := wait.next(ran)
		p.slog.Warn("a process ended and is started again", "process", p.name, "cause", err, "after", pause)
		select {
		case <-time.After(pause):
		case <-p.wake:
		}
	}
}

// failed notes that the process ended, and tells whether that was wanted.
func (p *program) failed(ran time.Duration, cause error) (wanted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.again {
		p.again, p.quick = false, 0
		return true
	}
	if errors.Is(cause, errNotStarted) {
		p.quick = max(p.quick, faulty) // it will not do so by itself
	}
	if ran > steady {
		p.quick = 0
	}
	p.quick++
	p.cause = cause
	return false
}

// fault is why the process does not stay up, nil where it does.
func (p *program) fault() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quick < faulty || p.held || p.ended || p.process != nil && time.Since(p.began) > steady {
		return nil
	}
	if p.cause == nil {
		return errEnded
	}
	return p.cause
}

var (
	errEnded      = errors.New("it ends of itself")
	errNotStarted = errors.New("cannot be started")
)

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
	cmd.Dir, cmd.Env, cmd.SysProcAttr = p.dir, slices.Concat(os.Environ(), p.env, p.equipment()), attributes()
	cmd.Stdout, cmd.Stderr = file, file
	p.mu.Lock()
	if p.ended || p.held {
		p.mu.Unlock()
		return nil
	}
	err = cmd.Start()
	if err == nil {
		p.process, p.began = cmd.Process, time.Now()
		p.runs.Add(1)
	}
	p.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("%w: %w", errNotStarted, err)
		fmt.Fprintf(file, "nave: %v\n", err)
		return err
	}
	err = cmd.Wait()
	p.mu.Lock()
	p.process = nil
	p.mu.Unlock()
	p.endGroup(cmd.Process.Pid)
	return err
}

// endGroup ends what a process left behind: politely where it was asked to end
// for good, since its children were asked too, at once where it is to run anew.
func (p *program) endGroup(group int) {
	for end := time.Now().Add(p.patience()); p.over() && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if syscall.Kill(-group, 0) != nil {
			return // there is nobody
		}
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
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
	p.held, p.quick = false, 0
	p.mu.Unlock()
	p.rouse()
}

// restart has the process end and run anew, as its options are now.
func (p *program) restart() {
	p.mu.Lock()
	p.again = p.process != nil
	p.mu.Unlock()
	p.signal(syscall.SIGTERM)
}

// equip sets what the process is given besides its options, and tells whether it
// has to be started again to have it.
func (p *program) equip(env []string, drain time.Duration) (stale bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stale = p.process != nil && !slices.Equal(p.more, env)
	p.more, p.drain = env, drain
	return stale
}

func (p *program) equipment() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.more
}

// patience is how long the process may take to end.
func (p *program) patience() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(grace, p.drain+grace-proxyDrain)
}

func (p *program) rouse() {
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
	p.rouse()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(p.patience()):
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
