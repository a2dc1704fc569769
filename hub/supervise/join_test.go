package supervise

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/spoke"
)

// TestJoin: the hub is asked until it answers, a cluster that has an identity
// needs no token, and one that lost its own gets another.
func TestJoin(t *testing.T) {
	s, _ := fleetOf(t, "a")
	asked := 0
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 || r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "not yet", http.StatusConflict)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"token": "token " + string(rune('0'+asked))})
	}))
	defer hub.Close()
	s.ports.api = strings.TrimPrefix(hub.URL, "http://")
	if err := os.WriteFile(s.state("token"), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := s.addRegion(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	path, err := s.spokeOptions(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	token := func() string {
		t.Helper()
		data, err := os.ReadFile(path)
		var opts spoke.Options
		if err != nil || json.Unmarshal(data, &opts) != nil {
			t.Fatal(err, string(data))
		}
		return opts.Token
	}
	if token() != "token 2" {
		t.Errorf("the token is %q", token())
	}
	r.spoke = shell(t, "exit 1")
	r.spoke.quick = faulty
	s.rejoin(t.Context())
	if token() != "token 3" {
		t.Errorf("after it was lost the token is %q", token())
	}
	if s.rejoin(t.Context()); token() != "token 3" {
		t.Error("it got another at once")
	}
	if err := os.MkdirAll(s.state("clusters", "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.state("clusters", "a", "identity.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.spokeOptions(t.Context(), r); err != nil || token() != "" || asked != 3 {
		t.Errorf("with an identity: %v, token %q, asked %d times", err, token(), asked)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	hub.Close()
	if _, err := s.joinToken(ctx, "b"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("without a hub: %v", err)
	}
}
