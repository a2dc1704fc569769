package platform_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/navehq/nave/hub/platform"
)

// FuzzHosts: whatever the file says, what is taken of it can be used, and what is
// not is told with a remedy.
func FuzzHosts(f *testing.F) {
	for _, seed := range []string{
		"", "hosts: []", "hosts: {", "hosts:\n- {host: api.openai.com, port: 443, address: 127.0.0.1:9201, plaintext: true}\n",
		"hosts:\n- {host: a, port: 70000, address: x}\n- {host: b, port: 1, address: '[::1]:1', plaintext: true}\n", "hosts:\n- {host: a, port: 443, address: 127.0.0.1:1, caFile: none.pem}\n", "hots: []",
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, platform.HostsFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		hosts, problems, ok := platform.ReadHosts(dir)
		if !ok && (len(hosts) > 0 || len(problems) == 0) {
			t.Errorf("a file that is not read gives %d hosts and %d problems", len(hosts), len(problems))
		}
		for _, h := range hosts {
			if _, port, err := net.SplitHostPort(h.Name); err != nil || port == "0" || h.Address == "" {
				t.Errorf("it takes %+v", h)
			}
		}
		for _, p := range problems {
			if !strings.HasPrefix(p.File, platform.HostsFile) || p.Message == "" || p.Remedy == "" {
				t.Errorf("it tells %+v", p)
			}
		}
	})
}
