package process_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMains runs each simulator as a process: it serves what it prints, with the
// certificate that it writes, and ends at once although a client is connected.
func TestMains(t *testing.T) {
	folder := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", folder, "../cmd/...").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	for _, test := range []struct {
		command, path string
		args          []string
	}{
		{"model-sim", "/healthz", []string{"-keys", "k", "-deployment", "d=m", "-fault", `{"kind":"slow","firstToken":"1ms"}`}},
		{"mcp-sim", "/_sim/stats", []string{"-name", "west"}},
		{"mcp-sim", "/", []string{"-kind", "math"}},
		{"entra-sim", "/t/v2.0/.well-known/openid-configuration", []string{"-tenant", "t", "-client", "c"}},
	} {
		t.Run(test.command+test.path, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "ca.pem")
			command := exec.Command(filepath.Join(folder, test.command), append(test.args, "-tls", "127.0.0.1", "-ca-out", root)...)
			out, err := command.StdoutPipe()
			check(t, err)
			command.Stderr = os.Stderr
			check(t, command.Start())
			defer command.Process.Kill()
			lines := bufio.NewScanner(out)
			lines.Scan()
			_, url, found := strings.Cut(lines.Text(), "serving on ")
			if !found {
				t.Fatalf("printed %q", lines.Text())
			}
			certificate, err := os.ReadFile(root)
			check(t, err)
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(certificate)
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
			response, err := client.Get(url + test.path)
			check(t, err)
			if response.StatusCode != 200 {
				t.Errorf("answered %d", response.StatusCode)
			}
			began := time.Now()
			check(t, command.Process.Signal(syscall.SIGTERM))
			check(t, command.Wait())
			if took := time.Since(began); took > time.Second {
				t.Errorf("took %v to end", took)
			}
			response.Body.Close()
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
