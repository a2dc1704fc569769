package header_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/header"
	"github.com/navehq/nave/proxy/message"
)

func TestRequest(t *testing.T) {
	r := message.Request{Authority: "a"}
	r.Header.Add("X-Set", "old")
	r.Header.Add("X-Add", "one")
	r.Header.Add("X-Gone", "x")
	header.Request(&table.HeaderEdit{
		Set: []table.HeaderValue{
			{Name: "x-set", Value: "new"}, {Name: "Host", Value: "b"}, {Name: "Content-Length", Value: "7"},
		},
		Add:    []table.HeaderValue{{Name: "X-Add", Value: "two"}, {Name: "Transfer-Encoding", Value: "chunked"}},
		Remove: []string{"x-gone", "Connection"},
	}, &r)
	want := []message.Field{{Name: "x-set", Value: "new"}, {Name: "X-Add", Value: "one"}, {Name: "X-Add", Value: "two"}}
	if d := cmp.Diff(want, slices.Collect(r.Header.All())); d != "" || r.Authority != "b" {
		t.Error(r.Authority, d)
	}
}
