package provider_test

import (
	"testing"

	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/openai"
	"github.com/navehq/nave/proxy/llm/dialect/provider"
	"github.com/navehq/nave/proxy/llm/sse"
)

func BenchmarkAnthropicEvent(b *testing.B) {
	body := []byte(`{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`)
	f, err := openai.Inspect(dialect.Chat, body)
	if err != nil {
		b.Fatal(err)
	}
	x, err := provider.Anthropic.Codec().Begin(&f, body, dialect.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s := x.Stream(now)
	var scanner sse.Scanner
	feed := func(text string) {
		scanner.Feed([]byte(text))
		for {
			ev, ok, _ := scanner.Next()
			if !ok {
				return
			}
			s.Event(ev)
		}
	}
	feed("data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_01\",\"model\":\"claude-sonnet-4-5\"}}\n\ndata: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n")
	chunk := []byte("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" hello there\"}}\n\n")
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		scanner.Feed(chunk)
		for {
			ev, ok, _ := scanner.Next()
			if !ok {
				break
			}
			if _, n := s.Event(ev); !n.Meaningful {
				b.Fatal("not meaningful")
			}
		}
	}
}
