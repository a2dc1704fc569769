package failure_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect/failure"
)

type header map[string]string

func (h header) Get(name string) string {
	for k, v := range h {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestAnswer(t *testing.T) {
	for _, tc := range []struct {
		why    string
		status int
		body   string
		class  chat.Class
		code   string
		words  string // that the message must hold
	}{
		{"OpenAI, rate", 429, `{"error":{"message":"Rate limit reached for gpt-4o","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`, chat.RateLimit, "rate_limit_exceeded", "Rate limit reached"},
		{"OpenAI, no money under the same status", 429, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}`, chat.Quota, "insufficient_quota", "quota"},
		{"OpenAI, key", 401, `{"error":{"message":"Incorrect API key provided: sk-abcd****wxyz. See the site.","type":"invalid_request_error","code":"invalid_api_key"}}`, chat.Credential, "invalid_api_key", "[masked]"},
		{"OpenAI, model", 404, `{"error":{"message":"The model does not exist","type":"invalid_request_error","code":"model_not_found"}}`, chat.ModelGone, "model_not_found", "exist"},
		{"OpenAI, context", 400, `{"error":{"message":"This model's maximum context length is 8192 tokens","type":"invalid_request_error","code":"context_length_exceeded"}}`, chat.Caller, "context_length_exceeded", "8192"},
		{"OpenAI, parameter", 400, `{"error":{"message":"Unknown parameter: 'x'.","type":"invalid_request_error","param":"x","code":"unknown_parameter"}}`, chat.Caller, "unknown_parameter", "'x'"},
		{"OpenAI, region", 403, `{"error":{"message":"Country, region, or territory not supported","code":"unsupported_country_region_territory"}}`, chat.ModelGone, "unsupported_country_region_territory", "territory"},
		{"Azure, deployment", 404, `{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}`, chat.ModelGone, "DeploymentNotFound", "deployment"},
		{"Azure, filter", 400, `{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, chat.Caller, "content_filter", "filtered"},
		{"Azure, key", 401, `{"error":{"code":"401","message":"Access denied due to invalid subscription key"}}`, chat.Credential, "", "denied"},
		{"Anthropic, overloaded", 529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}`, chat.Transient, "", "Overloaded"},
		{"Anthropic, no money by 400", 400, `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}`, chat.Quota, "", "credit"},
		{"Anthropic, context", 400, `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}`, chat.Caller, "context_length_exceeded", "210000"},
		{"Anthropic, too large", 413, `{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}`, chat.Caller, "", "size"},
		{"Google, a bad key by 400, in a list", 400, `[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]`, chat.Credential, "", "API key not valid"},
		{"vLLM", 404, `{"object":"error","message":"The model x does not exist.","type":"NotFoundError","param":null,"code":404}`, chat.ModelGone, "model_not_found", "exist"},
		{"vLLM, context", 400, `{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","code":400}`, chat.Caller, "context_length_exceeded", "4096"},
		{"Ollama", 404, `{"error":"model \"x\" not found, try pulling it first"}`, chat.ModelGone, "model_not_found", "pulling"},
		{"FastAPI", 422, `{"detail":[{"loc":["body","x"],"msg":"field required","type":"value_error.missing"}]}`, chat.Caller, "", "field required"},
		{"AWS", 403, `{"message":"The security token included in the request is expired: ExpiredTokenException"}`, chat.Credential, "", "expired"},
		{"throttled by another status", 400, `{"message":"Throttling: slow down"}`, chat.RateLimit, "", "slow"},
		{"the caller quoted, a rate", 400, `{"error":{"message":"Invalid value: 'rate limit'","type":"invalid_request_error"}}`, chat.Caller, "", "rate limit"},
		{"the caller quoted, no money", 400, `{"error":{"message":"Invalid value: 'insufficient_quota: your credit balance'","type":"invalid_request_error"}}`, chat.Caller, "", "credit"},
		{"the caller quoted, a key", 422, `{"detail":"unknown field: invalid_api_key"}`, chat.Caller, "", "field"},
		{"the caller quoted, a model", 400, `{"error":{"message":"Invalid value: 'model_not_found'","type":"invalid_request_error"}}`, chat.Caller, "", "model"},
		{"the caller's key quoted", 401, `{"error":{"message":"Incorrect API key provided: rate limit"}}`, chat.Credential, "", "key"},
		{"HTML", 502, `<html>bad gateway</html>`, chat.Transient, "", "502"},
		{"text", 503, `no healthy upstream`, chat.Transient, "", "no healthy upstream"},
		{"null", 500, `null`, chat.Transient, "", "500"},
		{"nothing", 504, ``, chat.Transient, "", "504"},
		{"a conflict", 409, `{}`, chat.Caller, "", "409"},
		{"a timeout", 408, `{}`, chat.Transient, "", "408"},
		{"gone", 410, `{}`, chat.ModelGone, "model_not_found", "410"},
		{"forbidden", 403, `{}`, chat.Credential, "", "403"},
	} {
		e := failure.Answer(tc.status, header{"Content-Type": "text/html; charset=x"}, []byte(tc.body), now)
		if e.Class != tc.class || e.Code != tc.code || !strings.Contains(e.Message, tc.words) || e.Status != tc.status || e.InStream {
			t.Errorf("%s: %s, code %q, message %q", tc.why, e.Class, e.Code, e.Message)
		}
	}
}

func TestInStream(t *testing.T) {
	for _, tc := range []struct {
		why, body string
		class     chat.Class
		status    int
	}{
		{"Anthropic", `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, chat.Transient, 0},
		{"OpenRouter", `{"id":"x","choices":[],"error":{"code":429,"message":"upstream busy"}}`, chat.RateLimit, 429},
		{"Responses", `{"type":"error","code":"server_error","message":"The server had an error","param":null,"sequence_number":3}`, chat.Transient, 0},
		{"Responses, failed", `{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"rate_limit_exceeded","message":"wait"}}}`, chat.RateLimit, 0},
		{"a fault of the request", `{"error":{"type":"invalid_request_error","message":"no"}}`, chat.Caller, 0},
		{"a fault of the request that quotes it", `{"error":{"type":"invalid_request_error","message":"Invalid value: 'rate limit'"}}`, chat.Caller, 0},
		{"a string", `{"error":"boom"}`, chat.Transient, 0},
		{"no words", `{"error":null}`, chat.Transient, 0},
	} {
		e := failure.InStream([]byte(tc.body))
		if e.Class != tc.class || e.Status != tc.status || !e.InStream || e.Message == "" {
			t.Errorf("%s: %+v", tc.why, e)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		why  string
		h    header
		want time.Duration
	}{
		{"nothing", header{}, 0},
		{"seconds", header{"Retry-After": "7"}, 7 * time.Second},
		{"a date", header{"Retry-After": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30 * time.Second},
		{"a date that is past", header{"Retry-After": "Sat, 21 Nov 2026 11:00:30 GMT"}, 0},
		{"milliseconds win", header{"Retry-After": "7", "retry-after-ms": "250"}, 250 * time.Millisecond},
		{"Azure's", header{"x-ms-retry-after-ms": "1500"}, 1500 * time.Millisecond},
		{"OpenAI's reset of what is used up", header{"x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "12ms", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 6 * time.Minute},
		{"Azure's -1 means used up", header{"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "9", "x-ratelimit-reset-requests": "2"}, 9 * time.Second},
		{"the soonest, if none says it is used up", header{"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "3s"}, time.Second},
		{"since 1970", header{"x-ratelimit-reset-requests": "1795262460"}, time.Minute},
		{"Anthropic's", header{"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-11-21T12:00:05Z"}, 5 * time.Second},
		{"bounded", header{"Retry-After": "1e300"}, failure.MaxWait},
		{"nonsense", header{"Retry-After": "soon", "x-ratelimit-reset-tokens": "NaN"}, 0},
	} {
		if got := failure.RetryAfter(tc.h, now); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.why, got, tc.want)
		}
	}
	e := failure.Answer(429, header{}, []byte(`{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"x","details":[{"@type":"RetryInfo","retryDelay":"17s"}]}}`), now)
	if e.RetryAfter != 17*time.Second || e.Class != chat.RateLimit {
		t.Errorf("Google's RetryInfo: %+v", e)
	}
}

func TestSpokenWait(t *testing.T) {
	for message, want := range map[string]time.Duration{
		"Rate limit reached. Please try again in 6m0s. Visit the site.": 6 * time.Minute,
		"Please try again in 12ms.":                                     12 * time.Millisecond,
		"Please retry after 10 seconds.":                                10 * time.Second,
		"Please retry after 2 minutes, or ask for more.":                2 * time.Minute,
		"Retry after 300 milliseconds":                                  300 * time.Millisecond,
		"Please retry after lunch.":                                     0,
	} {
		if got := failure.Answer(429, header{}, fmt.Appendf(nil, `{"error":{"message":%q}}`, message), now).RetryAfter; got != want {
			t.Errorf("%q: %v, want %v", message, got, want)
		}
	}
}

func TestMask(t *testing.T) {
	const azure = "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c"
	for in, want := range map[string]string{
		"Incorrect API key provided: sk-proj-abc123DEF.":                 "Incorrect API key provided: [masked]",
		"key sk-ant-oat01-xyz_abc-1 refused":                             "key [masked] refused",
		"key abc***xyz":                                                  "key [masked]",
		"subscription " + azure + " ended":                               "subscription [masked] ended",
		"Bearer eyJhbGciOi.eyJzdWIi.sig":                                 "Bearer [masked]",
		"request 123e4567-e89b-12d3-a456-426614174000, req_011CSHoEeqs5": "request 123e4567-e89b-12d3-a456-426614174000, req_011CSHoEeqs5",
		"model gpt-4o-2024-08-06 and task-list are fine":                 "model gpt-4o-2024-08-06 and task-list are fine",
		"line\r\nbreak\x00":                                              "line \nbreak ",
		"日本 stays":                                                       "日本 stays",
	} {
		if got := failure.Mask(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(429, `{"error":{"message":"m","type":"t","code":"c"}}`, "1")
	f.Add(200, `[{"error":{"details":[{"retryDelay":"1s"}]}}]`, "Sat, 21 Nov 2026 12:00:30 GMT")
	f.Add(0, `{"detail":[{"msg":"x"}],"innererror":{"error":{"error":{"error":{}}}}}`, "-1")
	f.Add(401, "sk-aaaaaaaaaaaaaaaa", "")
	f.Fuzz(func(t *testing.T, status int, body, retry string) {
		e := failure.Answer(status, header{"Retry-After": retry}, []byte(body), now)
		if e.RetryAfter < 0 || e.RetryAfter > failure.MaxWait {
			t.Fatalf("wait %v", e.RetryAfter)
		}
		if e.Message == "" || len(e.Message) > 8<<10 {
			t.Fatalf("message of %d bytes", len(e.Message))
		}
		if s := e.ClientStatus(); s < 400 || s > 599 {
			t.Fatalf("status %d", s)
		}
		failure.InStream([]byte(body))
		if m := failure.Mask(e.Message); failure.Mask(m) != m {
			t.Fatalf("masking %q twice differs", e.Message)
		}
	})
}
