// Package usage counts the tokens of model calls: what a provider reported,
// read from its JSON, or an estimate that says it is one. It never prices them
// and never weighs them against a limit.
package usage

import (
	"github.com/navehq/nave/proxy/llm/dialect/scan"
)

// Tokens is what one call, or several, used. Input is the whole prompt, cached
// parts included; Output the whole answer, reasoning included.
type Tokens struct {
	Input      int64 // all that the model read
	Output     int64 // all that the model wrote
	Cached     int64 // of Input: read from the provider's prompt cache
	CacheWrite int64 // of Input: written to the provider's prompt cache
	Reasoning  int64 // of Output: thought, not said
	Total      int64 // as the provider reports it, else Input + Output
	// Estimated says that some of these were not reported but worked out from
	// the length of the texts.
	Estimated bool
}

// Zero tells whether nothing was counted.
func (t Tokens) Zero() bool { return t == Tokens{} }

// Add returns the sum over two calls.
func (t Tokens) Add(o Tokens) Tokens {
	return Tokens{
		Input: t.Input + o.Input, Output: t.Output + o.Output, Cached: t.Cached + o.Cached,
		CacheWrite: t.CacheWrite + o.CacheWrite, Reasoning: t.Reasoning + o.Reasoning,
		Total: t.Total + o.Total, Estimated: t.Estimated || o.Estimated,
	}
}

// Latest merges a later report on the same call into an earlier one. Reports of
// one call only grow, so each count is the larger of the two.
func (t Tokens) Latest(o Tokens) Tokens {
	m := Tokens{
		Input: max(t.Input, o.Input), Output: max(t.Output, o.Output), Cached: max(t.Cached, o.Cached),
		CacheWrite: max(t.CacheWrite, o.CacheWrite), Reasoning: max(t.Reasoning, o.Reasoning),
		Total: max(t.Total, o.Total), Estimated: t.Estimated || o.Estimated,
	}
	m.Total = max(m.Total, m.Input+m.Output)
	return m
}

// bytesPerToken is what the tokenizers in use make of prose and code, on
// average; it is right within about a third.
const bytesPerToken = 4

// Estimate works tokens out from the bytes of text read and written.
func Estimate(inputBytes, outputBytes int) Tokens {
	t := Tokens{Input: tokens(inputBytes), Output: tokens(outputBytes), Estimated: true}
	t.Total = t.Input + t.Output
	return t
}

// Fill puts estimates where a call that is known to have text has no count, its
// provider having reported nothing.
func (t Tokens) Fill(inputBytes, outputBytes int) Tokens {
	e := Estimate(inputBytes, outputBytes)
	if t.Input == 0 && e.Input > 0 {
		t.Input, t.Estimated = e.Input, true
	}
	if t.Output == 0 && e.Output > 0 {
		t.Output, t.Estimated = e.Output, true
	}
	t.Total = max(t.Total, t.Input+t.Output)
	return t
}

// FillCut is Fill for a stream that broke off after a first report, whose
// output counts only what had been said until then.
func (t Tokens) FillCut(inputBytes, outputBytes int) Tokens {
	if e := tokens(outputBytes); e > t.Output {
		t.Output, t.Estimated = e, true
	}
	return t.Fill(inputBytes, outputBytes)
}

func tokens(n int) int64 { return int64((n + bytesPerToken - 1) / bytesPerToken) }

// ReadOpenAI consumes the usage value that c stands before, in the shape of
// chat completions (prompt_tokens, completion_tokens), of the Responses API
// (input_tokens, output_tokens) or of embeddings. ok is false for null and for
// what is no object.
func ReadOpenAI(c *scan.Cursor) (t Tokens, ok bool) {
	if c.Kind() != '{' {
		c.Skip()
		return t, false
	}
	c.Enter('{')
	for {
		key, more := c.Member()
		if !more {
			break
		}
		switch string(key) {
		case "prompt_tokens", "input_tokens":
			t.Input = max(t.Input, count(c))
		case "completion_tokens", "output_tokens":
			t.Output = max(t.Output, count(c))
		case "total_tokens":
			t.Total = count(c)
		case "prompt_tokens_details", "input_tokens_details":
			t.Cached = max(t.Cached, detail(c, "cached_tokens"))
		case "completion_tokens_details", "output_tokens_details":
			t.Reasoning = detail(c, "reasoning_tokens")
		case "prompt_cache_hit_tokens": // DeepSeek
			t.Cached = max(t.Cached, count(c))
		default:
			c.Skip()
		}
	}
	t.Total = max(t.Total, t.Input+t.Output)
	return t, c.Err() == nil
}

// ReadAnthropic consumes the usage value of a Messages answer or event that c
// stands before. Its input_tokens leaves out what went through the prompt
// cache; Input has all of it.
func ReadAnthropic(c *scan.Cursor) (t Tokens, ok bool) {
	if c.Kind() != '{' {
		c.Skip()
		return t, false
	}
	c.Enter('{')
	for {
		key, more := c.Member()
		if !more {
			break
		}
		switch string(key) {
		case "input_tokens":
			t.Input = count(c)
		case "output_tokens":
			t.Output = count(c)
		case "cache_read_input_tokens":
			t.Cached = count(c)
		case "cache_creation_input_tokens":
			t.CacheWrite = count(c)
		case "output_tokens_details":
			t.Reasoning = detail(c, "thinking_tokens")
		default:
			c.Skip()
		}
	}
	t.Input += t.Cached + t.CacheWrite
	t.Total = t.Input + t.Output
	return t, c.Err() == nil
}

// most bounds a count that a provider reports, so that sums of them stay whole.
const most = 1 << 40

func count(c *scan.Cursor) int64 {
	n, ok := scan.Int(c.Skip())
	if !ok || n < 0 {
		return 0
	}
	return min(n, most)
}

func detail(c *scan.Cursor, want string) (n int64) {
	if c.Kind() != '{' {
		c.Skip()
		return 0
	}
	c.Enter('{')
	for {
		key, more := c.Member()
		switch {
		case !more:
			return n
		case string(key) == want:
			n = count(c)
		default:
			c.Skip()
		}
	}
}
