package rewrite_test

import (
	"testing"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/rewrite"
	"github.com/navehq/nave/proxy/message"
)

func TestPath(t *testing.T) {
	for _, c := range []struct{ path, prefix, with, want string }{
		{"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
		{"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
		{"/foo/bar", "/foo/", "/xyz", "/xyz/bar"},
		{"/foo/bar", "/foo/", "/xyz/", "/xyz/bar"},
		{"/foo", "/foo", "/xyz", "/xyz"},
		{"/foo/", "/foo", "/xyz", "/xyz/"},
		{"/foo/bar", "/foo", "", "/bar"},
		{"/foo/", "/foo", "", "/"},
		{"/foo", "/foo", "", "/"},
		{"/foo/", "/foo", "/", "/"},
		{"/foo", "/foo", "/", "/"},
		{"/a/b", "/", "/x", "/x/a/b"},
		{"/", "/", "/x", "/x/"},
	} {
		if got := rewrite.Path(&table.PathEdit{Prefix: &c.with}, c.path, c.prefix); got != c.want {
			t.Errorf("%s with %s replaced by %q: got %s, want %s", c.path, c.prefix, c.with, got, c.want)
		}
	}
}

func TestApply(t *testing.T) {
	full := "/one"
	r := message.Request{Authority: "a:80", Path: "/x/y", Query: "q=1"}
	rewrite.Apply(&table.Rewrite{Hostname: "b", Path: &table.PathEdit{Full: &full}}, &r, "")
	if r.Authority != "b" || r.Target() != "/one?q=1" {
		t.Errorf("got %s %s", r.Authority, r.Target())
	}
}
