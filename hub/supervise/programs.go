package supervise

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/navehq/nave/api/objects"
)

// programsFile is in a cluster's folder.
const programsFile = "processes.yaml"

// processesFile lists the programs that belong to a region.
type processesFile struct {
	Processes []programSpec `json:"processes"`
}

type programSpec struct {
	Name    string            `json:"name"`
	Command []string          `json:"command"`
	Env     map[string]string `json:"env,omitempty"`
	Ready   struct {
		TCP string `json:"tcp,omitempty"`
	} `json:"ready,omitzero"`
}

// readyLimit is how long a program may take to listen.
const readyLimit = 15 * time.Second

// programs are those of a region, as its file said last. One at a time brings
// them in line.
type programs struct {
	sync.Mutex
	data  []byte
	specs map[string]programSpec
}

// parsePrograms reads a region's file: what can be started, in order, and what is
// wrong; not ok where nothing of the file can be obeyed.
func parsePrograms(cluster string, data []byte) (order []programSpec, problems []objects.Problem, ok bool) {
	problem := func(field, message, remedy string) {
		problems = append(problems, objects.Problem{Cluster: cluster, File: programsFile, Field: field, Reason: objects.ReasonInvalidValue, Message: message, Remedy: remedy})
	}
	var file processesFile
	if wrong := objects.Settings(cluster, programsFile, data, &file, "what runs is left alone"); len(wrong) > 0 {
		return nil, wrong, false
	}
	names := map[string]bool{}
	for i, x := range file.Processes {
		at := fmt.Sprintf("processes[%d]", i)
		switch {
		case x.Name == "" || len(x.Command) == 0:
			problem(at, "name or command is missing", "give both")
		case names[x.Name]:
			problem(at+".name", fmt.Sprintf("the name %q is there twice", x.Name), "give each its own")
		default:
			order = append(order, x)
		}
		names[x.Name] = true
	}
	return order, problems, true
}

// Check tells what is wrong in the files of a fleet's folder that are no
// objects: the simulated network and the regions' programs.
func Check(dir string) []objects.Problem {
	var out []objects.Problem
	clusters, wrong, err := clusterFolders(dir)
	if err == nil {
		_, far := readWAN(filepath.Join(dir, "hub", wanName), clusters)
		out = append(append(out, wrong...), far...)
	}
	files, err := filepath.Glob(filepath.Join(dir, "clusters", "*", programsFile))
	if err != nil {
		return out
	}
	for _, path := range files {
		cluster := filepath.Base(filepath.Dir(path))
		data, err := os.ReadFile(path)
		if err != nil {
			out = append(out, objects.Problem{Cluster: cluster, File: programsFile, Reason: objects.ReasonInvalidValue, Message: err.Error(), Remedy: "let it be read"})
			continue
		}
		_, problems, _ := parsePrograms(cluster, data)
		out = append(out, problems...)
	}
	return out
}

// readPrograms brings what belongs to a region in line with its file: what
// changed is started anew, each when the one before is ready. What is wrong is
// said, and the rest is started all the same; a file that cannot be read leaves
// everything as it is.
func (s *Supervisor) readPrograms(ctx context.Context, r *region) {
	if !r.files.TryLock() {
		return // another is at it, and the file is looked at again soon
	}
	defer r.files.Unlock()
	data, err := os.ReadFile(filepath.Join(s.opts.Dir, "clusters", r.name, programsFile))
	if err != nil && !os.IsNotExist(err) || bytes.Equal(data, r.files.data) {
		return
	}
	r.files.data = data
	order, problems, ok := parsePrograms(r.name, data)
	s.problems.set("programs "+r.name, problems...)
	if !ok {
		return
	}
	wanted := map[string]programSpec{}
	for _, x := range order {
		wanted[x.Name] = x
	}
	for _, name := range slices.Sorted(maps.Keys(r.files.specs)) {
		if !reflect.DeepEqual(wanted[name], r.files.specs[name]) {
			s.endProgram(r, name)
		}
	}
	before := r.files.specs
	r.files.specs = wanted
	for _, x := range order {
		if !reflect.DeepEqual(before[x.Name], x) {
			s.startProgram(ctx, r, x)
		}
	}
}

// endProgram ends a program that is no longer wanted as it is.
func (s *Supervisor) endProgram(r *region, name string) {
	s.mu.Lock()
	i := slices.IndexFunc(r.programs, func(p *program) bool { return p.name == r.name+"-"+name })
	if i < 0 {
		s.mu.Unlock()
		return
	}
	p := r.programs[i]
	r.programs = slices.Delete(slices.Clone(r.programs), i, i+1)
	s.mu.Unlock()
	p.stop()
	s.problems.set("ready " + p.name)
	s.problems.set("process " + p.name)
}

func (s *Supervisor) startProgram(ctx context.Context, r *region, x programSpec) {
	name := r.name + "-" + x.Name
	p := &program{
		name: name, path: x.Command[0], args: x.Command[1:], dir: filepath.Join(s.opts.Dir, "clusters", r.name),
		env: []string{s.mark()}, log: s.state("logs", name+".log"), slog: s.opts.Log, listed: true,
	}
	if found := filepath.Join(s.opts.Bin, p.path); !filepath.IsAbs(p.path) && exists(found) {
		p.path = found
	}
	for _, k := range slices.Sorted(maps.Keys(x.Env)) {
		p.env = append(p.env, k+"="+x.Env[k])
	}
	s.mu.Lock()
	if s.stopping || r.gone {
		s.mu.Unlock()
		return
	}
	p.held = r.killed
	r.programs = append(slices.Clone(r.programs), p)
	p.start()
	s.mu.Unlock()
	if x.Ready.TCP == "" || p.onHold() {
		return
	}
	if err := serves(ctx, x.Ready.TCP, readyLimit); err != nil && ctx.Err() == nil {
		s.problems.set("ready "+name, objects.Problem{
			Cluster: r.name, File: programsFile, Object: "process " + x.Name, Field: "ready.tcp", Reason: "NotReady",
			Message: fmt.Sprintf("nothing listens at %s after %s", x.Ready.TCP, readyLimit), Remedy: "see `nave logs " + name + "`",
		})
		go s.awaitReady(ctx, p, x.Ready.TCP)
	}
}

// awaitReady waits for a program that was late.
func (s *Supervisor) awaitReady(ctx context.Context, p *program, address string) {
	for ctx.Err() == nil && !p.over() {
		if serves(ctx, address, time.Second) == nil && !p.over() {
			s.problems.set("ready " + p.name)
			return
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// followPrograms looks at every region's file.
func (s *Supervisor) followPrograms(ctx context.Context, wg *sync.WaitGroup) {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.regions))
	s.mu.Unlock()
	for _, r := range all {
		wg.Go(func() { s.readPrograms(ctx, r) })
	}
}
