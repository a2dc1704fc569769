package observe

import (
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// memory reads what the kernel says of the process's memory, and of its control
// group's, when it is asked; what this machine does not tell is left out.
type memory struct {
	// process and group are the files that tell it.
	process, group string
}

var (
	processRSS          = prometheus.NewDesc("agentgateway_process_rss", "Resident bytes of the process.", nil, nil)
	processPSS          = prometheus.NewDesc("agentgateway_process_pss", "Resident bytes, shared ones by their share.", nil, nil)
	processPrivateDirty = prometheus.NewDesc("agentgateway_process_private_dirty", "Bytes of its own that it has changed.", nil, nil)
	processPrivateClean = prometheus.NewDesc("agentgateway_process_private_clean", "Bytes of its own that are as on disk.", nil, nil)
	processSharedClean  = prometheus.NewDesc("agentgateway_process_shared_clean", "Bytes shared with others that are as on disk.", nil, nil)
	processSwap         = prometheus.NewDesc("agentgateway_process_swap", "Bytes that are swapped out.", nil, nil)
	groupUsage          = prometheus.NewDesc("agentgateway_cgroup_usage", "Bytes that the control group has.", nil, nil)
	groupWorkingSet     = prometheus.NewDesc("agentgateway_cgroup_working_set", "Those that cannot be dropped at once.", nil, nil)
	groupAnon           = prometheus.NewDesc("agentgateway_cgroup_anon", "Anonymous bytes of the control group.", nil, nil)
	groupFile           = prometheus.NewDesc("agentgateway_cgroup_file", "Bytes of files that are cached for the control group.", nil, nil)
	groupKernel         = prometheus.NewDesc("agentgateway_cgroup_kernel", "The kernel's bytes for the control group.", nil, nil)
	groupSock           = prometheus.NewDesc("agentgateway_cgroup_sock", "Bytes of the control group's sockets.", nil, nil)
	groupSlab           = prometheus.NewDesc("agentgateway_cgroup_slab", "Bytes of the kernel's structures for the control group.", nil, nil)
)

// The names that the kernel has for them: smaps_rollup's, in KiB, and memory.stat's.
var (
	ofProcess = map[string]*prometheus.Desc{
		"Rss:": processRSS, "Pss:": processPSS, "Private_Dirty:": processPrivateDirty, "Private_Clean:": processPrivateClean,
		"Shared_Clean:": processSharedClean, "Swap:": processSwap,
	}
	ofGroup = map[string]*prometheus.Desc{
		"anon": groupAnon, "file": groupFile, "kernel": groupKernel, "sock": groupSock, "slab": groupSlab,
	}
)

// Describe implements prometheus.Collector.
func (memory) Describe(out chan<- *prometheus.Desc) {
	for _, names := range []map[string]*prometheus.Desc{ofProcess, ofGroup} {
		for _, d := range names {
			out <- d
		}
	}
	out <- groupUsage
	out <- groupWorkingSet
}

// Collect implements prometheus.Collector.
func (m memory) Collect(out chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, bytes float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, bytes)
	}
	for name, n := range numbers(m.process) {
		if d := ofProcess[name]; d != nil {
			tell(d, n*1024)
		}
	}
	stat := numbers(m.group + "/memory.stat")
	for name, n := range stat {
		if d := ofGroup[name]; d != nil {
			tell(d, n)
		}
	}
	text, err := os.ReadFile(m.group + "/memory.current")
	if err != nil {
		return
	}
	if usage, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64); err == nil {
		tell(groupUsage, usage)
		tell(groupWorkingSet, max(0, usage-stat["inactive_file"]))
	}
}

// numbers reads a file whose lines begin with a name and a number.
func numbers(path string) map[string]float64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil // not this kernel, or not this group
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 {
			if n, err := strconv.ParseFloat(f[1], 64); err == nil {
				out[f[0]] = n
			}
		}
	}
	return out
}
