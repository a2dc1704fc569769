package stream_test

import (
	"fmt"
	"testing"

	"github.com/navehq/nave/api/stream"
)

// One changed resource costs the same beside a hundred others and beside
// forty thousand.
func BenchmarkOneChange(b *testing.B) {
	for _, n := range []int{100, 40_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			src, sink := stream.NewSource(), stream.NewSink(nil, stream.DefaultGuard, stream.DefaultLimits)
			for i := range n {
				_ = src.Set(stream.Resource{Kind: "R", Key: fmt.Sprint(i), Payload: make([]byte, 1000)})
			}
			src.Mark("0", false)
			sink.Connect()
			src.Begin(nil)
			pass := func() {
				for d, ok := src.Next(0); ok; d, ok = src.Next(0) {
					if _, _, err := sink.Receive(d); err != nil {
						b.Fatal(err)
					}
					if _, _, err := src.Acked(stream.Ack{Nonce: d.Nonce}); err != nil {
						b.Fatal(err)
					}
				}
			}
			pass()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_ = src.Set(stream.Resource{Kind: "R", Key: "7", Generation: int64(i + 1), Payload: make([]byte, 1000)})
				src.Mark(fmt.Sprint(i+1), false)
				pass()
			}
		})
	}
}
