package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/PID/stat's times on Linux, USER_HZ.
const tick = 10 * time.Millisecond

// round is what one subject showed in one round.
type round struct {
	full, steady measured
}

// measured is one measurement: what the clients saw, and the processor time of
// one request, by who had it.
type measured struct {
	found
	cpu, upstream, clients time.Duration
	// others is the share of all cores that went to processes of nobody here, 0 to 1.
	others float64
	// sent are the requests of all attempts at it, again how many were in vain.
	sent, again int
}

// disturbed is the share of the cores above which others spoil a measurement.
const disturbed = 0.1

// calm measures, and again while others disturb and spare lasts; what stands is
// the attempt that they disturbed least. What the subject shows has no say in it.
func calm(spare *int, attempt func() (measured, error)) (measured, error) {
	best, err := attempt()
	best.sent = best.Requests
	for err == nil && best.others > disturbed && *spare > 0 {
		*spare--
		var m measured
		m, err = attempt()
		m.sent, m.again = best.sent+m.Requests, best.again+1
		if m.others > best.others {
			best.sent, best.again = m.sent, m.again
			continue
		}
		best = m
	}
	return best, err
}

// result is what a subject showed.
type result struct {
	subject
	rounds []round
	// idle and busy are its anonymous memory before the first and after the last
	// round, bytes.
	idle, busy int64
	// sent is how many requests it was sent in all.
	sent int
}

// measure has every subject measured in every round, in one order and the
// opposite one by turns.
func (s *scene) measure(ctx context.Context, set settings) ([]result, error) {
	out := make([]result, len(s.subjects))
	for i, x := range s.subjects {
		out[i] = result{subject: x, idle: anonymous(x.pids)}
		f, err := s.load(ctx, order{x.address, set.connections, 0, set.warm})
		if err != nil {
			return nil, err
		}
		out[i].sent = f.Requests
	}
	spare := set.again
	for n := range set.rounds {
		for i := range out {
			if n%2 == 1 {
				i = len(out) - 1 - i
			}
			r, err := s.round(ctx, set, out[i].subject, &spare)
			if err != nil {
				return nil, err
			}
			out[i].rounds = append(out[i].rounds, r)
			out[i].sent += r.full.sent + r.steady.sent
			fmt.Fprintf(os.Stderr, "round %d  %-8s  %6.0f requests/s at saturation, %s of processor time each\n", n+1, out[i].name, r.full.perSecond(), micros(r.full.cpu))
		}
	}
	for i := range out {
		out[i].busy = anonymous(out[i].pids)
	}
	return out, nil
}

func (s *scene) round(ctx context.Context, set settings, x subject, spare *int) (r round, err error) {
	at := func(rate int) (measured, error) {
		return calm(spare, func() (measured, error) {
			return s.one(ctx, x, order{x.address, set.connections, rate, set.duration})
		})
	}
	if r.full, err = at(0); err != nil {
		return r, err
	}
	r.steady, err = at(set.rate)
	return r, err
}

// one is one measurement.
func (s *scene) one(ctx context.Context, x subject, o order) (m measured, err error) {
	before, err := s.look(x)
	if err != nil {
		return m, err
	}
	if m.found, err = s.load(ctx, o); err != nil {
		return m, err
	}
	after, err := s.look(x)
	if err != nil || m.Requests == 0 {
		return m, err
	}
	n := time.Duration(m.Requests)
	subject, upstream, all := after.subject-before.subject, after.upstream-before.upstream, after.all-before.all
	m.cpu, m.upstream, m.clients = subject/n, upstream/n, m.CPU/n
	m.others = max(0, float64(all-subject-upstream-m.CPU)/float64(m.Took)/float64(runtime.NumCPU()))
	return m, nil
}

// clocks are processor times until now: the subject's, the upstream's and
// everybody's.
type clocks struct{ subject, upstream, all time.Duration }

func (s *scene) look(x subject) (c clocks, err error) {
	if c.subject, err = spent(x.pids...); err != nil {
		return c, err
	}
	if c.upstream, err = spent(s.upstream); err != nil {
		return c, err
	}
	c.all, err = everybody()
	return c, err
}

// everybody is the processor time that all processes have had, interrupts not
// counted.
func everybody() (time.Duration, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data))
	if len(fields) < 4 || fields[0] != "cpu" {
		return 0, errors.New("read /proc/stat: it does not begin with the sum of the cores")
	}
	return ticks(fields[1:4]) // user, nice, system
}

// ticks adds up times in ticks.
func ticks(fields []string) (total time.Duration, err error) {
	for _, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(n) * tick
	}
	return total, nil
}

// spent is the processor time that processes have had, all their threads', in
// their own code and in the kernel for them.
func spent(pids ...int) (total time.Duration, err error) {
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		// The name, in brackets, may hold anything; what follows is numbers.
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		t, err := ticks(fields[11:13]) // utime, stime
		if err != nil {
			return 0, err
		}
		total += t
	}
	return total, nil
}

// anonymous is the memory of processes that no file is behind, bytes.
func anonymous(pids []int) (total int64) {
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if rest, found := strings.CutPrefix(line, "RssAnon:"); found {
				n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
				total += n << 10
			}
		}
	}
	return total
}

func (m measured) perSecond() float64 {
	if m.Took <= 0 {
		return 0
	}
	return float64(m.Requests) / m.Took.Seconds()
}

// values is what each round showed, sorted.
func (r result) values(of func(round) time.Duration) []time.Duration {
	var all []time.Duration
	for _, x := range r.rounds {
		all = append(all, of(x))
	}
	slices.Sort(all)
	return all
}

func (r result) median(of func(round) time.Duration) time.Duration {
	all := r.values(of)
	return all[len(all)/2]
}

// beside is the median of what r had more than other in the same round.
func (r result) beside(other result, of func(round) time.Duration) time.Duration {
	var all []time.Duration
	for i := range r.rounds {
		all = append(all, of(r.rounds[i])-of(other.rounds[i]))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// others is the greatest share of the cores that somebody else had in a round.
func (r result) others() (most float64) {
	for _, x := range r.rounds {
		most = max(most, x.full.others, x.steady.others)
	}
	return most
}

// again is how many measurements others spoiled, so that they were taken anew.
func (r result) again() (n int) {
	for _, x := range r.rounds {
		n += x.full.again + x.steady.again
	}
	return n
}

func fullCPU(r round) time.Duration { return r.full.cpu }

// ratio is what a request costs at saturation in nginx's processor time; 0
// without nginx.
func ratio(results []result) float64 {
	var nginx, nave time.Duration
	for _, r := range results {
		switch r.name {
		case "nginx":
			nginx = r.median(fullCPU)
		case "nave":
			nave = r.median(fullCPU)
		}
	}
	if nginx == 0 {
		return 0
	}
	return float64(nave) / float64(nginx)
}
