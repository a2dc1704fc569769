package usage_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/proxy/llm/dialect/scan"
	"github.com/navehq/nave/proxy/llm/usage"
)

func TestRead(t *testing.T) {
	for _, tc := range []struct {
		why  string
		read func(*scan.Cursor) (usage.Tokens, bool)
		in   string
		want usage.Tokens
		ok   bool
	}{
		{"chat completions", usage.ReadOpenAI,
			`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":3}}`,
			usage.Tokens{Input: 10, Output: 5, Cached: 4, Reasoning: 3, Total: 15}, true},
		{"responses", usage.ReadOpenAI,
			`{"input_tokens":7,"input_tokens_details":{"cached_tokens":2},"output_tokens":9,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":16}`,
			usage.Tokens{Input: 7, Output: 9, Cached: 2, Reasoning: 1, Total: 16}, true},
		{"embeddings", usage.ReadOpenAI, `{"prompt_tokens":8,"total_tokens":8}`, usage.Tokens{Input: 8, Total: 8}, true},
		{"details that are null", usage.ReadOpenAI, `{"prompt_tokens":8,"completion_tokens":1,"prompt_tokens_details":null}`,
			usage.Tokens{Input: 8, Output: 1, Total: 9}, true},
		{"counts that are none", usage.ReadOpenAI, `{"prompt_tokens":-8,"completion_tokens":"x","total_tokens":1e300}`, usage.Tokens{}, true},
		{"null", usage.ReadOpenAI, `null`, usage.Tokens{}, false},
		{"Anthropic leaves the cache out of its input", usage.ReadAnthropic,
			`{"input_tokens":10,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":5,"output_tokens_details":{"thinking_tokens":2}}`,
			usage.Tokens{Input: 1110, Output: 5, Cached: 1000, CacheWrite: 100, Reasoning: 2, Total: 1115}, true},
		{"Anthropic at its least", usage.ReadAnthropic, `{"output_tokens":5}`, usage.Tokens{Output: 5, Total: 5}, true},
	} {
		c := scan.New([]byte(tc.in))
		got, ok := tc.read(&c)
		if d := cmp.Diff(tc.want, got); d != "" || ok != tc.ok {
			t.Errorf("%s: ok is %t, want %t\n%s", tc.why, ok, tc.ok, d)
		}
		if err := c.End(); err != nil {
			t.Errorf("%s: the value is not used up: %v", tc.why, err)
		}
	}
}

func TestMerge(t *testing.T) {
	start := usage.Tokens{Input: 1110, Output: 1, Cached: 1000, CacheWrite: 100, Total: 1111}
	end := usage.Tokens{Output: 50, Total: 50}
	want := usage.Tokens{Input: 1110, Output: 50, Cached: 1000, CacheWrite: 100, Total: 1160}
	if d := cmp.Diff(want, start.Latest(end)); d != "" {
		t.Errorf("two reports on one call:\n%s", d)
	}
	if d := cmp.Diff(usage.Tokens{Input: 2220, Output: 2, Cached: 2000, CacheWrite: 200, Total: 2222}, start.Add(start)); d != "" {
		t.Errorf("two calls:\n%s", d)
	}
}

func TestEstimates(t *testing.T) {
	reported := usage.Tokens{Input: 10, Output: 5, Total: 15}
	for _, tc := range []struct {
		why     string
		t       usage.Tokens
		in, out int
		want    usage.Tokens
	}{
		{"reported counts stand", reported, 4000, 4000, reported},
		{"nothing reported", usage.Tokens{}, 41, 20, usage.Tokens{Input: 11, Output: 5, Total: 16, Estimated: true}},
		{"nothing read, nothing written", usage.Tokens{}, 0, 0, usage.Tokens{}},
	} {
		if d := cmp.Diff(tc.want, tc.t.Fill(tc.in, tc.out)); d != "" {
			t.Errorf("%s:\n%s", tc.why, d)
		}
	}

	cut := usage.Tokens{Input: 10, Output: 8, Total: 18}
	if d := cmp.Diff(usage.Tokens{Input: 10, Output: 100, Total: 110, Estimated: true}, cut.FillCut(0, 400)); d != "" {
		t.Errorf("a stream cut before its last report:\n%s", d)
	}
	if d := cmp.Diff(cut, cut.FillCut(400, 32)); d != "" {
		t.Errorf("a stream cut right after its last report:\n%s", d)
	}
}
