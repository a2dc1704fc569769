package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if part(os.Args[1:]) {
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}

// TestRun measures for a moment, and shows figures of each subject.
func TestRun(t *testing.T) {
	bin, err := filepath.Abs("../../../bin")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("make", "-s", "-C", filepath.Dir(bin), "build").CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	_, missing := exec.LookPath("nginx")
	if missing != nil {
		t.Log("nginx is not installed (apt-get install nginx-light): measured without it, nothing to hold the proxy against")
	}
	s := settings{
		bin: bin, out: t.TempDir(), profile: filepath.Join(t.TempDir(), "cpu"), connections: 8, rate: 200, rounds: 2, workers: 2,
		duration: 500 * time.Millisecond, warm: 100 * time.Millisecond, maxRatio: 1000, withoutNginx: missing != nil, // so short a time judges nothing
	}
	if err := run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(s.out, "proxy.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for name, times := range map[string]int{"no proxy": 2, "nave": 3} {
		if n := len(regexp.MustCompile(`(?m)^ *`+name+` +[1-9]`).FindAll(text, -1)); n != times {
			t.Errorf("%d rows with figures for %s:\n%s", n, name, text)
		}
	}
	if profile, err := os.ReadFile(s.profile); err != nil || len(profile) == 0 {
		t.Errorf("the profile has %d bytes: %v", len(profile), err)
	}
}

func of(name string, cpu ...time.Duration) result {
	r := result{subject: subject{name: name}}
	for _, c := range cpu {
		r.rounds = append(r.rounds, round{full: measured{cpu: c}, steady: measured{found: found{P50: c}}})
	}
	return r
}

// TestVerdict: it is nginx's median that nave's is held against.
func TestVerdict(t *testing.T) {
	beside := []result{of("no proxy", 0), of("nginx", 10, 90, 11), of("nave", 33, 1, 44)}
	if got := ratio(beside); got != 3 {
		t.Errorf("the ratio is %v", got)
	}
	if err := judge(beside, 3); err != nil {
		t.Error(err)
	}
	if err := judge(beside, 2.9); !errors.Is(err, errDear) {
		t.Errorf("dearer than it may be: %v", err)
	}
	alone := []result{of("no proxy", 0), of("nave", 33)}
	if got := ratio(alone); got != 0 {
		t.Errorf("without nginx the ratio is %v", got)
	}
	if err := judge(alone, 1); err != nil {
		t.Errorf("nothing to hold it against: %v", err)
	}
}

// TestBeside: what is added is taken round by round, so that a slow round of
// the machine's adds nothing.
func TestBeside(t *testing.T) {
	p50 := func(x round) time.Duration { return x.steady.P50 }
	if got := of("nave", 7, 905, 11).beside(of("no proxy", 2, 900, 5), p50); got != 5 {
		t.Errorf("added are %v", got)
	}
}

// TestCalm: what others disturbed is measured again while it may be, the least
// disturbed stands, and every request of all attempts is looked for.
func TestCalm(t *testing.T) {
	for _, c := range []struct {
		why               string
		others            []float64
		spare             int
		stands            float64
		sent, again, left int
	}{
		{"nobody disturbs", []float64{0.02}, 3, 0.02, 10, 0, 3},
		{"disturbed once", []float64{0.5, 0.03}, 3, 0.03, 20, 1, 2},
		{"nothing to spare", []float64{0.5}, 0, 0.5, 10, 0, 0},
		{"the last was the worst", []float64{0.5, 0.2, 0.7}, 2, 0.2, 30, 2, 0},
	} {
		next, spare := 0, c.spare
		m, err := calm(&spare, func() (measured, error) {
			next++
			return measured{found: found{Requests: 10}, others: c.others[next-1]}, nil
		})
		if err != nil || m.others != c.stands || m.sent != c.sent || m.again != c.again || spare != c.left {
			t.Errorf("%s: %+v, %d to spare: %v", c.why, m, spare, err)
		}
	}
}

// TestWitness: what a log or the metrics leave out is found out.
func TestWitness(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("a\nb\nc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (result{subject: subject{log: log}, sent: 3}).witness(t.Context()); err != nil {
		t.Error(err)
	}
	page := []byte("# HELP x_total y\nx_total{a=\"b c\"} 2\nx_total{a=\"d\"} 1.5e+06\nx_total_more{} 7\n")
	if got := sum(page, "x_total{"); got != 1500002 {
		t.Errorf("the sum is %d", got)
	}
	if got := sum(page, "y_total{"); got != 0 {
		t.Errorf("the sum of nothing is %d", got)
	}
}

// TestOpenLoop: a request that had to wait for one before it is counted from
// when it was due.
func TestOpenLoop(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const stall = 100 * time.Millisecond
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 16<<10)
		for first := true; ; first = false {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if first {
				<-time.After(stall) // the server is slow once
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	}()
	text, err := json.Marshal(order{Address: l.Addr().String(), Connections: 1, Rate: 100, Duration: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := generate(string(text), &out); err != nil {
		t.Fatal(err)
	}
	var f found
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		t.Fatal(err)
	}
	// Ten were due while the first was held up; the fifth of them waited half as long.
	if f.Requests != 20 || f.P99 < stall || f.P50 > stall || f.P50 < time.Microsecond {
		t.Errorf("%+v", f)
	}
}

// TestRefusal: only an answer of 200 counts.
func TestRefusal(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		buf := make([]byte, 16<<10)
		if _, err := far.Read(buf); err == nil {
			_, _ = far.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"))
		}
	}()
	o := order{Address: "example.com"}
	due := make(chan time.Time)
	close(due)
	_, err := o.client(near, due, time.Now().Add(time.Minute))
	if err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "busy") {
		t.Error(err)
	}
}
