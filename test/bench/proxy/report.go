package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// report lays out what was measured, where, and how. The first result is the way
// without a proxy.
func report(s settings, results []result) string {
	var out strings.Builder
	fmt.Fprintf(&out, "A proxied chat completion, 1 KB in and 1 KB out, %d connections: medians of %d rounds, %s for each measurement.\n", s.connections, s.rounds, s.duration)
	fmt.Fprintf(&out, "%s, Linux %s; %s, %s.\n", processors(), kernel(), runtime.Version(), nginxVersion())
	fmt.Fprintf(&out, "nginx has %d workers, nave GOMAXPROCS=%d; access logs on, nave's metrics too.\n", s.workers, s.workers)
	fmt.Fprintf(&out, "Upstream, clients and subject share all cores; only the subject's processor time is compared.\n")
	most, again := 0.0, 0
	for _, r := range results {
		most, again = max(most, r.others()), again+r.again()
	}
	fmt.Fprintf(&out, "Whatever else ran had at most %.0f %% of the cores in any measurement; %d with more than %.0f %% were taken again.\n", 100*most, again, 100*disturbed)
	if most > disturbed {
		fmt.Fprintf(&out, "That is too much: the tails are not the subjects'.\n")
	}
	full(&out, results)
	steady(&out, s, results)
	footprint(&out, results)
	if x := ratio(results); x > 0 {
		fmt.Fprintf(&out, "\nAt saturation nave needs %.2f times nginx's processor time for a request.\n", x)
	} else {
		fmt.Fprintf(&out, "\nNginx was left out: nothing to hold nave against.\n")
	}
	return out.String()
}

func table(out *strings.Builder, title, head string, rows func(w *tabwriter.Writer)) {
	fmt.Fprintf(out, "\n%s\n", title)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, head)
	rows(w)
	_ = w.Flush() // to memory
}

// full is saturation: every connection asks as soon as it is answered.
func full(out *strings.Builder, results []result) {
	table(out, "As fast as the connections go (processor time of one request)", "\trequests/s\tprocessor time\tfrom\tto\tof the upstream\tof the clients\tp50\tp99\t", func(w *tabwriter.Writer) {
		for _, r := range results {
			cpu := r.values(fullCPU)
			rate := r.median(func(x round) time.Duration { return time.Duration(x.full.perSecond() * float64(time.Second)) }).Seconds()
			fmt.Fprintf(w, "%s\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.name, rate, micros(r.median(fullCPU)), micros(cpu[0]), micros(cpu[len(cpu)-1]),
				micros(r.median(func(x round) time.Duration { return x.full.upstream })), micros(r.median(func(x round) time.Duration { return x.full.clients })),
				micros(r.median(func(x round) time.Duration { return x.full.P50 })), micros(r.median(func(x round) time.Duration { return x.full.P99 })))
		}
	})
}

// steady is a fixed rate, at which nothing waits for a core: what is added to
// the way without a proxy is the proxy's.
func steady(out *strings.Builder, s settings, results []result) {
	p50 := func(x round) time.Duration { return x.steady.P50 }
	p99 := func(x round) time.Duration { return x.steady.P99 }
	title := fmt.Sprintf("At %d requests/s, open loop, counted from when each was due (added: to no proxy in the same round)", s.rate)
	table(out, title, "\tp50\tp99\tadded p50\tadded p99\tprocessor time\t", func(w *tabwriter.Writer) {
		for i, r := range results {
			fmt.Fprintf(w, "%s\t%s\t%s\t", r.name, micros(r.median(p50)), micros(r.median(p99)))
			if i == 0 {
				fmt.Fprintf(w, "-\t-\t-\t\n")
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t\n", micros(r.beside(results[0], p50)), micros(r.beside(results[0], p99)),
				micros(r.median(func(x round) time.Duration { return x.steady.cpu })))
		}
	})
}

func footprint(out *strings.Builder, results []result) {
	table(out, "Anonymous memory (nginx: its workers)", "\tbefore\tafter\t", func(w *tabwriter.Writer) {
		for _, r := range results[1:] {
			fmt.Fprintf(w, "%s\t%.1f MB\t%.1f MB\t\n", r.name, megabytes(r.idle), megabytes(r.busy))
		}
	})
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

func micros(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f µs", float64(d.Nanoseconds())/1000)
}

// processors says how many cores there are, and of what kind.
func processors() string {
	kind := runtime.GOARCH
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
				kind = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores (%s)", runtime.NumCPU(), kind)
}

func nginxVersion() string {
	out, err := exec.Command("nginx", "-v").CombinedOutput()
	if err != nil {
		return "no nginx"
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "nginx version: ")
}

// kernel is the version without what a distribution or a host adds to it.
func kernel() string {
	data, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(data)), "-")
	return version
}
