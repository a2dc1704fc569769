package chat_test

import (
	"slices"
	"testing"

	"github.com/navehq/nave/proxy/llm/chat"
)

func TestFeatureNames(t *testing.T) {
	all := ^chat.Features(0)
	names := all.Names()
	if len(names) != 16 || slices.Contains(names, "") {
		t.Fatalf("names: %q", names)
	}
	var back chat.Features
	for _, n := range names {
		back |= chat.FeatureNamed(n)
	}
	if got := back.Names(); !slices.Equal(got, names) {
		t.Errorf("read back: %q", got)
	}
	if chat.FeatureNamed("flying") != 0 {
		t.Error("a feature that is none")
	}
	f := chat.FeatureTools | chat.FeatureJSONSchema
	if f.String() != "tools,json_schema" || !f.Has(chat.FeatureTools) || f.Has(chat.FeatureTools|chat.FeatureImages) {
		t.Errorf("set %s", f)
	}
}

func TestClientStatus(t *testing.T) {
	for _, tc := range []struct {
		why  string
		e    chat.Error
		want int
	}{
		{"overloaded is not in OpenAI's list", chat.Error{Status: 529}, 503},
		{"kept", chat.Error{Status: 504}, 504},
		{"in a stream", chat.Error{InStream: true}, 502},
		{"overloaded in a stream", chat.Error{InStream: true, Type: "overloaded_error"}, 503},
		{"a timeout that a provider reports", chat.Error{Status: 408}, 502},
		{"rate", chat.Error{Class: chat.RateLimit, Status: 400}, 429},
		{"no money", chat.Error{Class: chat.Quota, Status: 402}, 429},
		{"our key is none of the client's business", chat.Error{Class: chat.Credential, Status: 401}, 502},
		{"model", chat.Error{Class: chat.ModelGone, Status: 410}, 404},
		{"the caller's fault", chat.Error{Class: chat.Caller, Status: 422}, 422},
		{"the caller may not", chat.Error{Class: chat.Caller, Status: 403}, 403},
		{"the caller's own key", chat.Error{Class: chat.Caller, Status: 401}, 401},
	} {
		if got := tc.e.ClientStatus(); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.why, got, tc.want)
		}
	}
	if chat.Caller.Moves() || !chat.Credential.Moves() || chat.Class(77).String() != "class(77)" {
		t.Error("classes")
	}
}

func TestMeaningful(t *testing.T) {
	for _, tc := range []struct {
		c    chat.Chunk
		want bool
	}{
		{chat.Chunk{Kind: chat.ChunkStart}, false},
		{chat.Chunk{Kind: chat.ChunkText}, false},
		{chat.Chunk{Kind: chat.ChunkText, Text: []byte("a")}, true},
		{chat.Chunk{Kind: chat.ChunkTool, Name: "f"}, true},
		{chat.Chunk{Kind: chat.ChunkFinish, Finish: chat.FinishStop}, false},
	} {
		if got := tc.c.Meaningful(); got != tc.want {
			t.Errorf("%+v: %t", tc.c, got)
		}
	}
}
