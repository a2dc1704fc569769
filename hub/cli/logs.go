package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

const (
	// lookEvery is how often logs are looked at with --follow, and tailBytes how
	// far back the last lines are looked for.
	lookEvery = 200 * time.Millisecond
	tailBytes = 1 << 20
)

// logs shows what the processes of a folder's fleet say.
func (c *client) logs() *cobra.Command {
	follow, lines := false, 0
	cmd := &cobra.Command{Use: "logs [NAME]", Short: "what the fleet's processes say; NAME is a part of a process' name", Args: cobra.MaximumNArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		if err := countable(lines); err != nil {
			return err
		}
		name := strings.Join(args, "")
		t := tails{dir: filepath.Join(c.dir, ".nave", "logs"), name: name, lines: lines, at: map[string]int64{}, say: c.logLine}
		found, err := t.look(cmd.OutOrStdout())
		if err != nil {
			return err
		}
		if !found && !follow {
			return fmt.Errorf("show logs of %q: no process of the fleet of %s has a name like it", name, c.dir)
		}
		for t.lines = -1; follow && wait(cmd.Context()); {
			if _, err := t.look(cmd.OutOrStdout()); err != nil {
				return err
			}
		}
		return nil
	}}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until interrupted")
	cmd.Flags().IntVarP(&lines, "lines", "n", 20, "how many of the last lines of each")
	return cmd
}

// said is a line of a log as `logs -o json` gives it, one object a line; as YAML
// the lines are one list.
type said struct {
	Process string `json:"process"`
	Line    string `json:"line"`
}

func (c *client) logLine(w io.Writer, process string, line []byte) error {
	x := said{process, strings.TrimRight(string(line), "\r\n")}
	switch c.output {
	case "json":
		return json.NewEncoder(w).Encode(x)
	case "yaml":
		data, err := yaml.Marshal([]said{x})
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
	_, err := fmt.Fprintf(w, "%s  %s", process, line)
	return err
}

func wait(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(lookEvery):
		return true
	}
}

// tails reads the ends of logs; at is how far each was read.
type tails struct {
	dir, name string
	// lines of each are shown; negative is everything that is new.
	lines int
	at    map[string]int64
	// say writes a line of a process.
	say func(w io.Writer, process string, line []byte) error
}

// look shows what was not shown yet, and tells whether there are such logs.
func (t *tails) look(w io.Writer) (bool, error) {
	files, err := filepath.Glob(filepath.Join(t.dir, "*.log"))
	if err != nil {
		return false, err
	}
	found := false
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".log")
		if !strings.Contains(name, t.name) {
			continue
		}
		found = true
		if err := t.show(w, name, path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, fmt.Errorf("show the log of %s: %w", name, err)
		}
	}
	return found, nil
}

func (t *tails) show(w io.Writer, name, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	from, whole := t.at[path], true
	if from > info.Size() {
		from = 0 // it was begun anew
	}
	if t.lines >= 0 && info.Size() > tailBytes {
		from, whole = info.Size()-tailBytes, false
	}
	data, err := io.ReadAll(io.NewSectionReader(file, from, info.Size()-from))
	if err != nil {
		return err
	}
	end := bytes.LastIndexByte(data, '\n') + 1 // what is half written comes next time
	t.at[path] = from + int64(end)
	list := bytes.SplitAfter(data[:end], []byte("\n"))
	list = list[:len(list)-1]
	if !whole && len(list) > 0 {
		list = list[1:]
	}
	if t.lines >= 0 {
		list = list[max(0, len(list)-t.lines):]
	}
	for _, line := range list {
		if err := t.say(w, name, line); err != nil {
			return err
		}
	}
	return nil
}
