package standalone

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Copy copies a fleet's folder, without its state, and puts free ports in place
// of those that its servers name. It gives the new port of each.
func Copy(from, to string, ports []string) (map[string]string, error) {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return nil, fmt.Errorf("copy the fleet's folder: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(to, ".nave")); err != nil {
		return nil, fmt.Errorf("copy the fleet's folder: %w", err)
	}
	free, err := FreePorts(len(ports))
	if err != nil {
		return nil, err
	}
	var pairs []string
	out := map[string]string{}
	for i, p := range ports {
		pairs = append(pairs, p, free[i])
		out[p] = free[i]
	}
	return out, Rewrite(to, strings.NewReplacer(pairs...).Replace)
}

// FreePorts gives ports below those that the system hands out by itself, so
// that nobody is likely to take one while its server is down.
func FreePorts(n int) ([]string, error) {
	const first, last, tries = 20000, 32000, 100
	var out []string
	for range tries {
		port := strconv.Itoa(first + rand.IntN(last-first))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer l.Close()
		if out = append(out, port); len(out) == n {
			return out, nil
		}
	}
	return nil, fmt.Errorf("find free ports: %d tries found %d of %d", tries, len(out), n)
}

// Rewrite changes every YAML file of a fleet's folder.
func Rewrite(dir string, change func(string) string) error {
	for _, pattern := range []string{"hub/*.yaml", "clusters/*/*.yaml"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := os.WriteFile(file, []byte(change(string(data))), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
