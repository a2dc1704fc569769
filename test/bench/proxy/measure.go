package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// tick is the unit of /proc/PID/stat's times on Linux, USER_HZ.
const tick = 10 * time.Millisecond

// round is what one subject showed in one round.
type round struct {
	full, steady found
	// cpu is the processor time of one request at saturation.
	cpu time.Duration
}

// result is what a subject showed.
type result struct {
	subject
	rounds []round
	// anonymous is its memory at the end, bytes.
	anonymous int64
}

func (s *scene) measure(ctx context.Context, set settings) ([]result, error) {
	out := make([]result, len(s.subjects))
	for i, x := range s.subjects {
		out[i].subject = x
		if _, err := s.load(ctx, order{x.address, set.connections, 0, set.warm}); err != nil {
			return nil, err
		}
	}
	for n := range set.rounds {
		for i, x := range s.subjects {
			r, err := s.round(ctx, set, x)
			if err != nil {
				return nil, err
			}
			out[i].rounds = append(out[i].rounds, r)
			fmt.Fprintf(os.Stderr, "round %d  %-8s  %.0f requests/s at saturation, %s each\n", n+1, x.name, perSecond(r.full), r.cpu)
		}
	}
	for i := range out {
		out[i].anonymous = anonymous(out[i].pid)
	}
	return out, nil
}

func (s *scene) round(ctx context.Context, set settings, x subject) (round, error) {
	var r round
	before, err := spent(x.pid)
	if err != nil {
		return r, err
	}
	if r.full, err = s.load(ctx, order{x.address, set.connections, 0, set.duration}); err != nil {
		return r, err
	}
	after, err := spent(x.pid)
	if err != nil {
		return r, err
	}
	if r.full.Requests > 0 {
		r.cpu = (after - before) / time.Duration(r.full.Requests)
	}
	r.steady, err = s.load(ctx, order{x.address, set.connections, set.rate, set.duration})
	return r, err
}

// spent is the processor time that a process has had.
func spent(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may hold anything; what follows is numbers.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	var total time.Duration
	for _, i := range []int{11, 12} { // utime and stime
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(n) * tick
	}
	return total, nil
}

func anonymous(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, found := strings.CutPrefix(line, "RssAnon:"); found {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10
		}
	}
	return 0
}

func perSecond(f found) float64 { return float64(f.Requests) / f.Took.Seconds() }

// median of what each round showed.
func (r result) median(of func(round) time.Duration) time.Duration {
	var all []time.Duration
	for _, x := range r.rounds {
		all = append(all, of(x))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func (r result) cpu() time.Duration { return r.median(func(x round) time.Duration { return x.cpu }) }

// ratio is what a request costs in nginx's processor time; 0 without nginx.
func ratio(results []result) float64 {
	var nginx, nave time.Duration
	for _, r := range results {
		switch r.name {
		case "nginx":
			nginx = r.cpu()
		case "nave":
			nave = r.cpu()
		}
	}
	if nginx == 0 {
		return 0
	}
	return float64(nave) / float64(nginx)
}

// report lays out what was measured.
func report(s settings, results []result) string {
	var out strings.Builder
	fmt.Fprintf(&out, "A proxied chat completion, 1 KB in and 1 KB out, %d connections; medians of %d rounds of %s.\n", s.connections, s.rounds, s.duration)
	fmt.Fprintf(&out, "%d cores, shared by the upstream, the clients and the subject; %s; %s; Linux %s.\n\n", runtime.NumCPU(), runtime.Version(), nginxVersion(), kernel())
	t := tabwriter.NewWriter(&out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tat saturation\tCPU/request\tp50\tp99\tadded at %d/s, p50\tp99\tmemory\t\n", s.rate)
	direct := results[0]
	for _, r := range results {
		rate := r.median(func(x round) time.Duration { return time.Duration(perSecond(x.full) * float64(time.Second)) }).Seconds()
		fmt.Fprintf(t, "%s\t%.0f/s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.name, rate, micros(r.cpu()), micros(r.median(fullP50)), micros(r.median(fullP99)),
			micros(r.median(steadyP50)-direct.median(steadyP50)), micros(r.median(steadyP99)-direct.median(steadyP99)), memory(r.anonymous))
	}
	_ = t.Flush() // to memory
	if x := ratio(results); x > 0 {
		fmt.Fprintf(&out, "\nnave needs %.2f times nginx's processor time for a request.\n", x)
	}
	return out.String()
}

func fullP50(r round) time.Duration   { return r.full.P50 }
func fullP99(r round) time.Duration   { return r.full.P99 }
func steadyP50(r round) time.Duration { return r.steady.P50 }
func steadyP99(r round) time.Duration { return r.steady.P99 }

func micros(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f µs", float64(d.Nanoseconds())/1000)
}

func memory(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%d MB", n>>20)
}

func nginxVersion() string {
	out, err := exec.Command("nginx", "-v").CombinedOutput()
	if err != nil {
		return "no nginx"
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "nginx version: ")
}

func kernel() string {
	data, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(data)), "-")
	return version
}
