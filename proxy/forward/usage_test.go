package forward

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/proxy/observe"
)

func TestLearnTakesWhatTheEntryLacks(t *testing.T) {
	for _, c := range []struct {
		why, text  string
		here, want observe.LLM
	}{
		{"counts that the answer did not show", `{"Provider":"azure.openai","InputTokens":7,"OutputTokens":5,"CachedTokens":3}`,
			observe.LLM{Provider: "unknown"}, observe.LLM{Provider: "azure.openai", InputTokens: 7, OutputTokens: 5, CachedTokens: 3}},
		{"counted ones before estimated ones", `{"InputTokens":7}`,
			observe.LLM{InputTokens: 9, Estimated: true}, observe.LLM{InputTokens: 7}},
		{"not what the entry counted itself", `{"InputTokens":7,"OutputTokens":5,"ResponseModel":"b"}`,
			observe.LLM{InputTokens: 9, ResponseModel: "a"}, observe.LLM{InputTokens: 9, ResponseModel: "a"}},
		{"nothing that is less than nothing", `{"InputTokens":-7,"OutputTokens":7}`, observe.LLM{}, observe.LLM{}},
		{"nothing of garbage", `{"InputTokens":7`, observe.LLM{}, observe.LLM{}},
		{"nothing of what is too long", `{"InputTokens":7,"x":"` + strings.Repeat("x", maxUsage) + `"}`, observe.LLM{}, observe.LLM{}},
	} {
		here := c.here
		learn(&observe.Record{LLM: &here}, c.text)
		if diff := cmp.Diff(c.want, here); diff != "" {
			t.Errorf("%s: %s", c.why, diff)
		}
	}
	learn(&observe.Record{}, `{"InputTokens":7}`) // no model was called
}

// FuzzLearn: whatever another proxy tells, counts are never negative, what the
// entry counted itself stands, and hearing it twice changes nothing.
func FuzzLearn(f *testing.F) {
	f.Add(`{"Provider":"openai","ResponseModel":"m","InputTokens":1,"OutputTokens":2,"Reasoning":1}`, false, int64(0))
	f.Add(`{"InputTokens":-1,"CacheWrite":-9}`, true, int64(4))
	f.Add(`{"InputTokens":1e300}`, false, int64(0))
	f.Add(`[{}]`, false, int64(1))
	f.Add(`{"Provider":null,"Estimated":"x"}`, true, int64(0))
	f.Fuzz(func(t *testing.T, text string, estimated bool, input int64) {
		here := observe.LLM{Estimated: estimated, InputTokens: max(0, input)}
		before := here
		rec := &observe.Record{LLM: &here}
		learn(rec, text)
		if min(here.InputTokens, here.OutputTokens, here.CachedTokens, here.CacheWrite, here.Reasoning) < 0 {
			t.Errorf("negative counts: %+v", here)
		}
		if before.InputTokens > 0 && !before.Estimated && here.InputTokens != before.InputTokens {
			t.Errorf("%d tokens that were counted here became %d", before.InputTokens, here.InputTokens)
		}
		if !json.Valid([]byte(text)) && here != before {
			t.Errorf("garbage was taken: %+v", here)
		}
		once := here
		learn(rec, text)
		if diff := cmp.Diff(once, here); diff != "" {
			t.Errorf("told twice: %s", diff)
		}
	})
}
