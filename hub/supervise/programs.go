package supervise

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/yaml"
)

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

// readPrograms brings what belongs to a region in line with its file: what
// changed is started anew, each when the one before is ready. What is wrong is
// said, and the rest is started all the same; a file that cannot be read leaves
// everything as it is.
func (s *Supervisor) readPrograms(ctx context.Context, r *region) {
	if !r.files.TryLock() {
		return // another is at it, and the file is looked at again soon
	}
	defer r.files.Unlock()
	path := filepath.Join("clusters", r.name, "processes.yaml")
	data, err := os.ReadFile(filepath.Join(s.opts.Dir, path))
	if err != nil && !os.IsNotExist(err) || bytes.Equal(data, r.files.data) {
		return
	}
	r.files.data = data
	var file processesFile
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		s.out.print("problem  %s: %v; mend the file, what runs is left alone", path, err)
		return
	}
	wanted := map[string]programSpec{}
	var order []programSpec
	for i, x := range file.Processes {
		if _, twice := wanted[x.Name]; twice || len(x.Command) == 0 || x.Name == "" {
			s.out.print("problem  %s: processes[%d]: name or command is missing, or the name is there twice; give each both", path, i)
			continue
		}
		wanted[x.Name] = x
		order = append(order, x)
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
			s.startProgram(ctx, r, x, path)
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
}

func (s *Supervisor) startProgram(ctx context.Context, r *region, x programSpec, file string) {
	name := r.name + "-" + x.Name
	p := &program{
		name: name, path: x.Command[0], args: x.Command[1:], dir: filepath.Join(s.opts.Dir, "clusters", r.name),
		log: s.state("logs", name+".log"), slog: s.opts.Log,
	}
	if found := filepath.Join(s.opts.Bin, p.path); !filepath.IsAbs(p.path) && exists(found) {
		p.path = found
	}
	for _, k := range slices.Sorted(maps.Keys(x.Env)) {
		p.env = append(p.env, k+"="+x.Env[k])
	}
	s.mu.Lock()
	if s.stopping {
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
		s.out.print("problem  %s: %s is not ready: %v; its log says: %s", file, x.Name, err, p.tail())
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
