package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestForgedSessions: a session id that was tampered with, or put together from
// those of two clients, is nobody's session, at whichever proxy.
func TestForgedSessions(t *testing.T) {
	f := start(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	hosts := f.tools(entry)
	var ids []string
	for i, host := range hosts {
		client := mcp.NewClient(&mcp.Implementation{Name: fmt.Sprintf("client %d", i), Version: "1"}, nil)
		session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: "http://" + host + "/mcp", MaxRetries: -1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		ids = append(ids, session.ID())
	}
	if len(ids) != 2 || ids[0] == ids[1] {
		t.Fatalf("INVALID: the sessions are %q", ids)
	}
	counted := func(when string, n int) {
		for i, id := range ids {
			for turn, host := range hosts { // each proxy has both sessions
				want := fmt.Sprintf(`"result":%d}`, len(hosts)*n+turn+1)
				if code, text := count(ctx, t, host, id); code != http.StatusOK || !strings.Contains(text, want) {
					t.Fatalf("session %d %s: %d %s, want %s", i, when, code, text, want)
				}
			}
		}
	}
	counted("itself", 0)
	for _, x := range forged(ids[0], ids[1]) {
		for _, host := range hosts {
			if code, text := count(ctx, t, host, x); code < 400 || code >= 500 || strings.Contains(text, "result") {
				t.Errorf("the forged id %.40q: %d %s", x, code, text)
			}
		}
	}
	counted("after that", 1)
}

// forged are ids that are neither of the two.
func forged(a, b string) []string {
	all := []string{"", "x", strings.Repeat("A", len(a)), strings.Repeat("A", 8000), a + b, b + a, a + "." + b}
	for _, id := range []string{a, b} {
		all = append(all, id+"x", id[:len(id)-1], id[1:], strings.ToUpper(id), id+id)
		for i := 0; i < len(id); i += max(1, len(id)/40) {
			other := byte('A')
			if id[i] == 'A' {
				other = 'B'
			}
			all = append(all, id[:i]+string(other)+id[i+1:])
		}
	}
	for i := 1; i < min(len(a), len(b)); i += max(1, len(a)/40) {
		all = append(all, a[:i]+b[i:], b[:i]+a[i:], a[:len(a)-i]+b[len(b)-i:], b[:len(b)-i]+a[len(a)-i:])
	}
	var out []string
	for _, x := range all {
		if x != a && x != b {
			out = append(out, x)
		}
	}
	return out
}

// count calls the tool that counts a session's calls of it.
func count(ctx context.Context, t *testing.T, host, id string) (int, string) {
	t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"count","arguments":{}}}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+host+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Mcp-Session-Id", id)
	resp, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	_, _ = text.ReadFrom(resp.Body) // what is missing fails the caller's check
	return resp.StatusCode, text.String()
}
