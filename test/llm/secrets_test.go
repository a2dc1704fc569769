package llm_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"

	"github.com/navehq/nave/test/simulators/model"
)

// No credential is written down: not where all goes well, not where the provider
// repeats the key it refuses, not at the loudest level of the log. What clients
// are told does not hold one either.
func TestSecretsAreNotWrittenDown(t *testing.T) {
	for _, proxy := range []string{running.entry, running.far} {
		loud(t, proxy, "debug")
		defer loud(t, proxy, "info")
	}
	const refused = "sk-proj-T0ldT00Much4815162342abcdef"
	_, well := openAI("sk-well-T0ld0nce108")
	_, parrot := openAI(refused)
	parrot.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("content-type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":{"message":"Incorrect API key provided: ` + strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + `.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`))
	})
	_, claudes := anthropic("sk-ant-api03-T0ldByAnthr0pic", model.Fault{Kind: model.Status, Status: 401})
	_, streaming := openAI("sk-stream-T0ldInAStream", model.Fault{Kind: model.StreamError, Status: 500, Body: "x"})
	inline := running.keep("sk-inline-T0ldInTheOpen")
	sim := model.New(model.Options{Keys: []string{inline}})
	declare(t,
		backend{name: "secrets-well", providers: []provider{well}},
		backend{name: "secrets-parrot", providers: []provider{parrot}},
		backend{name: "secrets-claude", providers: []provider{claudes}},
		backend{name: "secrets-stream", providers: []provider{streaming}},
		backend{name: "secrets-inline", providers: []provider{{says: "openai: {}", auth: "{key: " + inline + "}", handler: sim}}},
	)
	running.keep(clientKey)
	running.keep(identity.assertion)
	for _, name := range []string{"secrets-well", "secrets-parrot", "secrets-claude", "secrets-stream", "secrets-inline"} {
		for _, streamed := range []bool{false, true} {
			tape := &tape{}
			var err error
			if streamed {
				_, err = listen(t, client(name, tape), question("hello"))
			} else {
				_, err = client(name, tape).Chat.Completions.New(t.Context(), question("hello"))
			}
			if want := strings.HasSuffix(name, "well") || strings.HasSuffix(name, "inline"); (err == nil) != want {
				t.Errorf("%s: %v", name, err)
			}
			text, _ := tape.text()
			for _, secret := range running.secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s: the client is told %.8s…", name, secret)
				}
			}
			var failed *openai.Error
			if name == "secrets-parrot" && (!errors.As(err, &failed) || failed.StatusCode != 502 || strings.Contains(failed.Message, refused[8:20])) {
				t.Errorf("a key that the provider refuses is told as %v, want 502 without it", err)
			}
		}
	}
	logged(t, "secrets-inline")
	check(t, running.leaks())
}

// logged waits until the access log has a route's requests, and with them all
// that came before.
func logged(t *testing.T, name string) {
	t.Helper()
	if !eventually(5*time.Second, func() bool {
		logs, err := filepath.Glob(filepath.Join(running.dir, ".nave", "logs", "proxy-"+here+"-*.log"))
		if err != nil || len(logs) == 0 {
			return false
		}
		text, err := os.ReadFile(logs[0])
		return err == nil && strings.Count(string(text), running.name(name)) >= 2
	}) {
		t.Errorf("the requests to %s are not in the access log", name)
	}
}

// loud sets the level of a proxy's log.
func loud(t *testing.T, proxy, level string) {
	t.Helper()
	resp, err := http.Post(port(proxy, admin)+"/logging?level="+level, "", nil)
	check(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the level of the log cannot be set: %s", resp.Status)
	}
}
