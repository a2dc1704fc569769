package e2e_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestProgramsFollowTheirFile: a saved processes.yaml starts what is new and ends
// what is gone, and leaves the rest alone.
func TestProgramsFollowTheirFile(t *testing.T) {
	f := start(t, nil)
	file := filepath.Join(f.Dir(), "clusters", home, "processes.yaml")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	listens := func(address string) error {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	}
	const extra = "127.0.0.1:18494"
	traffic := f.load(40)
	f.write("clusters/westus2/processes.yaml", string(before)+"- {name: extra, command: [mcp-sim, -listen, \""+extra+"\"], ready: {tcp: \""+extra+"\"}}\n")
	eventually(t, 10*time.Second, "what is new is started", func() error { return listens(extra) })
	f.write("clusters/westus2/processes.yaml", "processes: {")
	eventually(t, 5*time.Second, "a broken file is told of", func() error {
		printed, err := os.ReadFile(f.Log())
		if err == nil && !strings.Contains(string(printed), "problem  clusters/westus2/processes.yaml") {
			err = fmt.Errorf("it prints %s", printed)
		}
		return err
	})
	if err := listens(extra); err != nil {
		t.Errorf("a broken file ended what runs: %v", err)
	}
	f.write("clusters/westus2/processes.yaml", string(before))
	eventually(t, 10*time.Second, "what is gone is ended", func() error {
		if listens(extra) == nil {
			return fmt.Errorf("it still listens")
		}
		return nil
	})
	stay(t, time.Second)
	traffic.Stop()
	if fates := none(t, traffic.Results()); len(fates) > 1 {
		t.Errorf("requests were disturbed: %v", fates)
	}
}
