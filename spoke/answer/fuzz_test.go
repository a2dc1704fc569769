package answer_test

import (
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/spoke/answer"
)

// FuzzAsk: whatever the hub asks, the answer is JSON, or an error that says whose
// fault it is.
func FuzzAsk(f *testing.F) {
	for _, seed := range []string{``, `null`, `{"backend":"b"}`, `{"backend":7}`, `{"backend":`, `[]`, `"b"`, `{"backend":"\ud800"}`} {
		f.Add("explain", []byte(seed))
		f.Add("status", []byte(seed))
	}
	f.Add("latency", []byte{0xff})
	f.Add("../status", []byte("{}"))
	a := answer.New(answer.Options{Fleet: known{list: []report.Explanation{{Cluster: "west"}}}, Log: slog.New(slog.DiscardHandler)})
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		data, err := a.Ask(t.Context(), path, body)
		if err != nil {
			if code := answer.Code(err); code < 400 || code >= 500 {
				t.Errorf("%s %q: %v is told as %d", path, body, err, code)
			}
			return
		}
		if !json.Valid(data) {
			t.Errorf("%s %q: it answers %q", path, body, data)
		}
	})
}
