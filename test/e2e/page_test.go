package e2e_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestPage looks at the console in a real browser.
func TestPage(t *testing.T) {
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && browser == "" {
			browser = path
		}
	}
	if browser == "" {
		t.Skip("there is no browser: install chromium to look at the page")
	}
	f := start(t, nil)
	traffic := f.load(20)
	defer traffic.Stop()
	if _, err := f.Nave(t.Context(), "cordon", "southcentralus", "--why", "to see it on the page"); err != nil {
		t.Fatal(err)
	}
	printed, err := os.ReadFile(f.Log())
	if err != nil {
		t.Fatal(err)
	}
	url := regexp.MustCompile(`http://[0-9.]+:[0-9]+`).FindString(string(printed))
	var dom string
	eventually(t, 90*time.Second, "the page shows the fleet", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
			"--user-data-dir="+filepath.Join(t.TempDir(), "profile"), "--virtual-time-budget=6000", "--dump-dom", url).Output()
		if err != nil {
			return err
		}
		dom = string(out)
		return lacks(dom, "as of ")
	})
	for _, want := range []string{
		`data-label="cluster">westus2</td>`, `<td class="good" data-label="lease">Connected</td>`, `<td class="warn" data-label="state">Cordoned</td>`, "gossip: ", "link: ", "agentgateway-system/agentgateway-mcp",
		f.models(entry)[0], "eastus → westus2", "to see it on the page",
	} {
		if err := lacks(dom, want); err != nil {
			t.Errorf("%v:\n%s", err, dom)
		}
	}
	if strings.Contains(dom, "does not answer") {
		t.Errorf("the page complains:\n%s", dom)
	}
	otherSites(t, url)
}

type missing string

func (m missing) Error() string { return "it lacks " + string(m) }

func lacks(text, want string) error {
	if strings.Contains(text, want) {
		return nil
	}
	return missing(want)
}

// otherSites asserts that a page of another site can neither read nor order.
func otherSites(t *testing.T, url string) {
	t.Helper()
	for _, x := range []struct{ method, path, host string }{
		{http.MethodGet, "/api/v1/status", "evil.example.com"}, {http.MethodPost, "/api/v1/orders", "evil.example.com"}, {http.MethodPost, "/api/v1/orders", ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), x.method, url+x.path, strings.NewReader(`{"kind":"Drain","cluster":"westus2"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "http://evil.example.com")
		if x.host != "" {
			_, port, _ := net.SplitHostPort(req.URL.Host)
			req.Host = net.JoinHostPort(x.host, port)
		}
		resp, err := plain.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode < 400 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s as %q: %s", x.method, x.path, x.host, resp.Status)
		}
	}
}
