package forward

import (
	"encoding/json"
	"io"

	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
)

// What the serving proxy tells the entry beside the answer: in the head, which
// address it called; in the trailer, what a model call used.
const (
	headEndpoint = "nave-link-endpoint"
	tailUsage    = "nave-link-usage"
)

// maxUsage bounds what is read of another proxy's account.
const maxUsage = 4 << 10

// teller is the exchange of a request that came over the link.
type teller struct {
	message.Exchange
	record *observe.Record
}

func (t *teller) Start(status int, h *message.Header, length int64) error {
	if t.record.Endpoint != "" {
		h.Set(headEndpoint, t.record.Endpoint)
	}
	return t.Exchange.Start(status, h, length)
}

func (t *teller) Write(p []byte) (int, error) {
	n, err := t.Exchange.Write(p)
	t.record.ResponseBytes += int64(n)
	return n, err
}

func (t *teller) Finish(h *message.Header) error {
	if t.record.LLM == nil {
		return t.Exchange.Finish(h)
	}
	text, err := json.Marshal(t.record.LLM)
	if err != nil {
		return t.Exchange.Finish(h)
	}
	var out message.Header
	if h != nil {
		out = h.Clone()
	}
	out.Add(tailUsage, string(text))
	return t.Exchange.Finish(&out)
}

// told is the answer's body as it comes over the link; at its end it takes the
// serving proxy's account into the record and off the trailer.
type told struct {
	io.ReadCloser
	response *message.Response
	record   *observe.Record
}

func (t *told) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err == io.EOF {
		learn(t.record, t.response.Trailer.Get(tailUsage))
		t.response.Trailer.Del(tailUsage)
	}
	return n, err
}

// learn takes over what only the serving proxy knows: which provider it was,
// and the counts that the answer in the client's dialect did not show.
func learn(rec *observe.Record, text string) {
	if text == "" || len(text) > maxUsage || rec.LLM == nil {
		return
	}
	var there observe.LLM
	if json.Unmarshal([]byte(text), &there) != nil ||
		min(there.InputTokens, there.OutputTokens, there.CachedTokens, there.CacheWrite, there.Reasoning) < 0 {
		return
	}
	here := rec.LLM
	if there.Provider != "" {
		here.Provider = there.Provider
	}
	if here.ResponseModel == "" {
		here.ResponseModel = there.ResponseModel
	}
	if here.InputTokens+here.OutputTokens == 0 || here.Estimated && !there.Estimated {
		here.InputTokens, here.OutputTokens, here.Estimated = there.InputTokens, there.OutputTokens, there.Estimated
		here.CachedTokens, here.CacheWrite, here.Reasoning = there.CachedTokens, there.CacheWrite, there.Reasoning
	}
}
