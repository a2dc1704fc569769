// Package folder fills a set of objects from a folder of YAML files, follows
// its changes, and writes statuses beside it. It gives each object the
// generation and the first-seen time that a cluster would, and keeps both over
// restarts. What a scan finds together is given on together. It judges no
// object: what cannot be read is a problem, and the version read before stays.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/navehq/nave/api/objects"
)

// Decode reads the objects of one file.
type Decode func(file string, data []byte) ([]*objects.Object, []objects.Problem)

// Options say which folder is read and how.
type Options struct {
	// Dir holds the YAML files; its subfolders are not read.
	Dir string
	// State is the folder for generations and statuses, made with mode 0700.
	State string
	// Cluster is set on every object and problem; "" is the hub.
	Cluster string
	// Skip names files that hold no objects.
	Skip   []string
	Decode Decode
	Now    func() time.Time
}

// Scan is what one look at the folder found.
type Scan struct {
	Set objects.Set
	// Changes lead from the scan before to this one.
	Changes  []objects.Change
	Problems []objects.Problem
}

// Source reads one folder. It is used by one goroutine.
type Source struct {
	opts   Options
	files  map[string]*file
	memory memory
	set    objects.Set
	// damage is what was wrong with the memory, told until it is written anew.
	damage []objects.Problem
}

// file is one file as it was read last.
type file struct {
	size     int64
	modified time.Time
	objects  []*objects.Object
	problems []objects.Problem
}

// Open prepares a source; the first Scan reads everything.
func Open(opts Options) (*Source, error) {
	if err := os.MkdirAll(opts.State, 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	m, damaged, err := remember(filepath.Join(opts.State, "objects.json"))
	if err != nil {
		return nil, err
	}
	s := &Source{opts: opts, files: map[string]*file{}, memory: m, set: objects.NewSet()}
	if damaged != nil {
		s.damage = []objects.Problem{s.problem("Forgotten", damaged.Error(), "nothing is to be done; generations and ages begin anew")}
	}
	return s, nil
}

// Scan looks at every file and reads those that changed. A folder that held
// objects and is not there any more is an error: nobody has deleted them.
func (s *Source) Scan() (Scan, error) {
	present, err := s.list()
	if err != nil {
		return Scan{}, err
	}
	for name := range s.files {
		if !slices.Contains(present, name) {
			delete(s.files, name)
		}
	}
	var problems []objects.Problem
	for _, name := range present {
		if err := s.refresh(name); err != nil {
			problems = append(problems, objects.Problem{File: name, Reason: "Unreadable", Message: err.Error(), Remedy: "let it be a file that nave can read"})
		}
	}
	next, more := s.gather()
	if err := s.memory.save(); err != nil {
		problems = append(problems, s.problem("NotKept", err.Error(), "let nave write its state; after a restart generations and ages begin anew"))
	}
	scan := Scan{Set: next, Changes: s.set.Diff(next), Problems: s.told(slices.Concat(problems, more, s.damage))}
	s.set = next
	return scan, nil
}

func (s *Source) list() ([]string, error) {
	entries, err := os.ReadDir(s.opts.Dir)
	if errors.Is(err, fs.ErrNotExist) && len(s.memory.known) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the objects: %w; what was read before stays, an empty folder would take it away", err)
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		ext := filepath.Ext(name)
		if e.IsDir() || strings.HasPrefix(name, ".") || ext != ".yaml" && ext != ".yml" || slices.Contains(s.opts.Skip, name) {
			continue
		}
		names = append(names, name)
	}
	return names, nil
}

func (s *Source) refresh(name string) error {
	path := filepath.Join(s.opts.Dir, name)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	old := s.files[name]
	if old != nil && old.size == info.Size() && old.modified.Equal(info.ModTime()) {
		return nil
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no regular file")
	}
	if info.Size() > objects.MaxFile {
		return fmt.Errorf("%d bytes is more than %d", info.Size(), objects.MaxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	list, problems := s.opts.Decode(name, data)
	next := &file{size: info.Size(), modified: info.ModTime(), objects: list, problems: problems}
	if old != nil && broken(problems) {
		next.objects = keep(old.objects, list)
	}
	s.files[name] = next
	return nil
}

// broken tells whether something in a file could not be read, so that objects
// that are missing now may not have been taken out by their author.
func broken(problems []objects.Problem) bool {
	return slices.ContainsFunc(problems, func(p objects.Problem) bool {
		return p.Reason == objects.ReasonSyntax || p.Reason == objects.ReasonTooLarge
	})
}

// keep adds to list what was read before and is not in it.
func keep(before, list []*objects.Object) []*objects.Object {
	for _, o := range before {
		if !slices.ContainsFunc(list, func(n *objects.Object) bool { return n.Key == o.Key }) {
			list = append(list, o)
		}
	}
	return list
}

// gather merges the files; of two that declare one object the first by name stays.
func (s *Source) gather() (objects.Set, []objects.Problem) {
	names := make([]string, 0, len(s.files))
	for name := range s.files {
		names = append(names, name)
	}
	slices.Sort(names)
	var problems []objects.Problem
	from := map[objects.Key]string{}
	var list []*objects.Object
	for _, name := range names {
		problems = append(problems, s.files[name].problems...)
		for _, o := range s.files[name].objects {
			if first, taken := from[o.Key]; taken && first != name {
				problems = append(problems, objects.Problem{File: o.File, Object: o.Key.String(), Reason: objects.ReasonDuplicate,
					Message: fmt.Sprintf("is declared in %s too, which is the one obeyed", first), Remedy: "keep one of the two"})
				continue
			}
			from[o.Key] = name
			list = append(list, s.memory.date(o, s.opts))
		}
	}
	set := objects.NewSet(list...)
	s.memory.forget(set)
	return set, problems
}

// Failed says that a scan failed, for people.
func (s *Source) Failed(err error) []objects.Problem {
	return s.told([]objects.Problem{s.problem("Unreadable", err.Error(), "let the folder be read; what was read before is obeyed")})
}

func (s *Source) problem(reason, message, remedy string) objects.Problem {
	return objects.Problem{Object: "folder " + filepath.Base(s.opts.Dir), Reason: reason, Message: message, Remedy: remedy}
}

func (s *Source) told(problems []objects.Problem) []objects.Problem {
	for i := range problems {
		problems[i].Cluster = s.opts.Cluster
	}
	return problems
}
