package openai_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect/openai"
)

func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		why  string
		e    chat.Error
		want string
	}{
		{"rate", chat.Error{Class: chat.RateLimit, Message: "m"}, `{"error":{"message":"m","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}`},
		{"quota", chat.Error{Class: chat.Quota, Code: "credit", Message: "m"}, `{"error":{"message":"m","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`},
		{"our key", chat.Error{Class: chat.Credential, Code: "invalid_api_key", Message: "m"}, `{"error":{"message":"m","type":"server_error","param":null,"code":"upstream_credential_refused"}}`},
		{"model", chat.Error{Class: chat.ModelGone, Code: "DeploymentNotFound", Message: "m"}, `{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"model_not_found"}}`},
		{"overloaded", chat.Error{Status: 529, Type: "overloaded_error", Message: "m"}, `{"error":{"message":"m","type":"server_error","param":null,"code":"overloaded"}}`},
		{"caller", chat.Error{Class: chat.Caller, Param: "n", Code: "c", Message: "a\"b"}, `{"error":{"message":"a\"b","type":"invalid_request_error","param":"n","code":"c"}}`},
	} {
		if got := string(openai.AppendError(nil, &tc.e)); got != tc.want {
			t.Errorf("%s: %s", tc.why, got)
		}
		stream := string(openai.AppendStreamError(nil, &tc.e))
		if stream != "data: "+tc.want+"\n\n" {
			t.Errorf("%s, in a stream: %s", tc.why, stream)
		}
	}
}

func TestModels(t *testing.T) {
	got := openai.AppendModels(nil, []openai.Model{{ID: "a", OwnedBy: "o", Created: time.Unix(5, 0)}, {ID: "b\""}})
	const want = `{"object":"list","data":[{"id":"a","object":"model","created":5,"owned_by":"o"},{"id":"b\"","object":"model","created":0,"owned_by":""}]}`
	if string(got) != want || !json.Valid(got) {
		t.Errorf("%s", got)
	}
	if got := string(openai.AppendModels(nil, nil)); got != `{"object":"list","data":[]}` {
		t.Errorf("none: %s", got)
	}
}
