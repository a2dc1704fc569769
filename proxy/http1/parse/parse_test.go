package parse_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/proxy/http1/parse"
	"github.com/navehq/nave/proxy/message"
)

// request scans and parses raw as a server does.
func request(raw string, lim parse.Limits) (r message.Request, f parse.Framing, err error) {
	var s parse.Scan
	n, err := s.End([]byte(raw), lim.OrDefault())
	if err != nil {
		return r, f, err
	}
	if n == 0 {
		return r, f, io.ErrUnexpectedEOF
	}
	f, err = parse.Request(raw[:n], s.Fields(), &r)
	return r, f, err
}

func response(raw, method string) (r message.Response, f parse.Framing, err error) {
	var s parse.Scan
	n, err := s.End([]byte(raw), parse.Default)
	if err != nil {
		return r, f, err
	}
	if n == 0 {
		return r, f, io.ErrUnexpectedEOF
	}
	f, err = parse.Response(raw[:n], s.Fields(), method, &r)
	return r, f, err
}

func fields(h *message.Header) string {
	var b strings.Builder
	for f := range h.All() {
		b.WriteString(f.Name + "=" + f.Value + ";")
	}
	return b.String()
}

// refused holds what two parsers could read differently, with why it matters
// and what a server answers.
var refused = []struct {
	why    string
	raw    string
	status int
}{
	{"CL.TE smuggling", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"TE.CL smuggling", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", 400},
	{"two different lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n", 400},
	{"two equal lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n", 400},
	{"a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\n", 400},
	{"a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\n", 400},
	{"a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
	{"a hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\n", 400},
	{"a length that overflows", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551620\r\n\r\n", 400},
	{"an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400},
	{"an unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501},
	{"a coding below chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
	{"chunked not last", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400},
	{"chunked then identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400},
	{"chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"TE.TE smuggling", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n", 400},
	{"a quoted coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", 501},
	{"a vertical tab in the coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", 400},
	{"an empty coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400},
	{"chunks in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400},
	{"tab before the colon", "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", 400},
	{"a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400},
	{"a fold at the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
	{"a bare line feed", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400},
	{"a bare line feed after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
	{"a bare line feed at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
	{"a bare carriage return", "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n", 400},
	{"a bare carriage return before the end", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: b\x00c\r\n\r\n", 400},
	{"NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n", 400},
	{"DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", 400},
	{"no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400},
	{"an empty name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400},
	{"a name with a slash", "GET / HTTP/1.1\r\nHost: a\r\nX/Y: b\r\n\r\n", 400},
	{"a name above ASCII", "GET / HTTP/1.1\r\nHost: a\r\nX\xe9: b\r\n\r\n", 400},
	{"no Host", "GET / HTTP/1.1\r\nX: b\r\n\r\n", 400},
	{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
	{"two Hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
	{"an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
	{"a Host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
	{"a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
	{"a Host with a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
	{"a Host with two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400},
	{"a Host with a named port", "GET / HTTP/1.1\r\nHost: a:http\r\n\r\n", 400},
	{"an open IPv6 literal", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
	{"text after an IPv6 literal", "GET / HTTP/1.1\r\nHost: [::1]evil\r\n\r\n", 400},
	{"a user in the target", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"an absolute target of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"an absolute target without a host", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"an absolute target with a bad Host beside it", "GET http://a/x HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
	{"an absolute target without Host", "GET http://a/x HTTP/1.1\r\n\r\n", 400},
	{"a target without a slash", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"an asterisk for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"two spaces before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"a tab for a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"no version (0.9)", "GET /\r\n\r\n", 400},
	{"a lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", 400},
	{"text after the version", "GET / HTTP/1.1x\r\nHost: a\r\n\r\n", 400},
	{"a version to come", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505},
	{"a minor version to come", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
	{"HTTP/2 by prior knowledge where it is not served", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	{"a method with a bracket", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"TLS on a plain port", "\x16\x03\x01\x02\x00\x01", 400},
	{"an empty first line", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501},
	{"an unknown expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\n", 417},
	{"many nominations", "GET / HTTP/1.1\r\nHost: a\r\nConnection: a,b,c,d,e,f,g,h,i\r\n\r\n", 400},
	{"a long request line", "GET /" + strings.Repeat("a", 17<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
	{"an endless request line", "GET /" + strings.Repeat("a", 17<<10), 414},
	{"a long head", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 65<<10) + "\r\n\r\n", 431},
	{"an endless head", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 65<<10), 431},
	{"many fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: a\r\n", 100) + "\r\n", 431},
	{"many fields without an end", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: a\r\n", 101), 431},
}

func TestRequestRefused(t *testing.T) {
	for _, c := range refused {
		t.Run(c.why, func(t *testing.T) {
			_, _, err := request(c.raw, parse.Limits{})
			var bad *parse.Error
			if !errors.As(err, &bad) || bad.Status != c.status {
				t.Errorf("got %v, want a refusal with status %d", err, c.status)
			}
		})
	}
}

func TestRequestTaken(t *testing.T) {
	type want struct {
		Authority, Path, Query, Fields, Upgrade string
		Framing                                 parse.Framing
	}
	for _, c := range []struct {
		why, raw string
		want     want
	}{
		{"the plain case", "GET /a?b=c HTTP/1.1\r\nHost: h:80\r\nX-A:  v w \r\n\r\n",
			want{"h:80", "/a", "b=c", "X-A=v w;", "", parse.Framing{}}},
		{"an absolute target overrides Host", "GET HTTP://b:1/x HTTP/1.1\r\nHost: a\r\n\r\n",
			want{"b:1", "/x", "", "", "", parse.Framing{}}},
		{"an absolute target without a path", "GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n",
			want{"b", "/", "q", "", "", parse.Framing{}}},
		{"OPTIONS for the server", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
			want{"a", "*", "", "", "", parse.Framing{}}},
		{"an IPv6 literal", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
			want{"[::1]:80", "/", "", "", "", parse.Framing{}}},
		{"raw UTF-8 in a path", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
			want{"a", "/\xc3\xa9", "", "", "", parse.Framing{}}},
		{"chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
			want{"a", "/", "", "", "", parse.Framing{Chunked: true, Length: -1}}},
		{"an expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n",
			want{"a", "/", "", "", "", parse.Framing{Length: 5, Continue: true}}},
		{"an expectation without a body is none", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
			want{"a", "/", "", "", "", parse.Framing{}}},
		{"close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n",
			want{"a", "/", "", "", "", parse.Framing{Close: true}}},
		{"1.0 closes", "GET / HTTP/1.0\r\n\r\n", want{"", "/", "", "", "", parse.Framing{Close: true}}},
		{"1.0 may stay", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", want{"", "/", "", "", "", parse.Framing{}}},
		{"hop-by-hop fields go, also nominated ones",
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: x-one, close ,X-Two\r\nX-One: 1\r\nx-two: 2\r\nx-two: 3\r\n" +
				"Keep-Alive: 5\r\nProxy-Connection: x\r\nX-Three: 3\r\n\r\n",
			want{"a", "/", "", "X-Three=3;", "", parse.Framing{Close: true}}},
		{"TE: trailers stays meaningful", "GET / HTTP/1.1\r\nHost: a\r\nTE: deflate, trailers\r\nConnection: TE\r\n\r\n",
			want{"a", "/", "", "TE=trailers;", "", parse.Framing{}}},
		{"another TE goes", "GET / HTTP/1.1\r\nHost: a\r\nTE: deflate\r\nConnection: TE\r\n\r\n",
			want{"a", "/", "", "", "", parse.Framing{}}},
		{"an upgrade", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
			want{"a", "/", "", "Upgrade=websocket;", "websocket", parse.Framing{}}},
		{"an upgrade that Connection does not name", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
			want{"a", "/", "", "", "", parse.Framing{}}},
		{"an upgrade to h2c is not offered",
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n",
			want{"a", "/", "", "", "", parse.Framing{}}},
		{"an upgrade in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
			want{"a", "/", "", "", "", parse.Framing{Close: true}}},
	} {
		t.Run(c.why, func(t *testing.T) {
			r, f, err := request(c.raw, parse.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			got := want{r.Authority, r.Path, r.Query, fields(&r.Header), r.Upgrade, f}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestResponse(t *testing.T) {
	type want struct {
		Status  int
		Fields  string
		Length  int64
		Framing parse.Framing
	}
	for _, c := range []struct {
		why, method, raw string
		want             want
	}{
		{"a length", "GET", "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\n", want{200, "A=b;", 3, parse.Framing{Length: 3}}},
		{"no reason", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", want{200, "", 0, parse.Framing{}}},
		{"an equal length twice", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", want{200, "", 3, parse.Framing{Length: 3}}},
		{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", want{200, "", -1, parse.Framing{Chunked: true, Length: -1}}},
		{"to the end", "GET", "HTTP/1.0 200 OK\r\n\r\n", want{200, "", -1, parse.Framing{Length: -1, Close: true}}},
		{"HEAD has no body but says its length", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", want{200, "", 7, parse.Framing{}}},
		{"304 has none either", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", want{304, "", 7, parse.Framing{}}},
		{"204 has none", "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", want{204, "", 0, parse.Framing{}}},
		{"101 keeps Upgrade", "GET", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", want{101, "Upgrade=websocket;", 0, parse.Framing{}}},
	} {
		t.Run(c.why, func(t *testing.T) {
			r, f, err := response(c.raw, c.method)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, want{r.Status, fields(&r.Header), r.ContentLength, f}); d != "" {
				t.Error(d)
			}
		})
	}
	for why, raw := range map[string]string{
		"both framings":          "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
		"two lengths":            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
		"an unknown coding":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"chunks in 1.0":          "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a folded line":          "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"a bare line feed":       "HTTP/1.1 200 OK\nA: b\r\n\r\n",
		"a short status":         "HTTP/1.1 20 OK\r\n\r\n",
		"a status of letters":    "HTTP/1.1 2x0 OK\r\n\r\n",
		"a status below 100":     "HTTP/1.1 099 OK\r\n\r\n",
		"another protocol":       "HTTP/2.0 200 OK\r\n\r\n",
		"no HTTP at all":         "SSH-2.0-OpenSSH_9.6\r\n\r\n",
		"control byte in reason": "HTTP/1.1 200 O\x01K\r\n\r\n",
	} {
		t.Run(why, func(t *testing.T) {
			var bad *parse.Error
			if _, _, err := response(raw, "GET"); !errors.As(err, &bad) {
				t.Errorf("got %v, want a refusal", err)
			}
		})
	}
}

// unchunk decodes in steps of at most step bytes.
func unchunk(raw string, step int) (data, rest string, err error) {
	var c parse.Chunked
	in := []byte(raw)
	for window := 0; ; {
		if c.Done() {
			return data, string(in), nil
		}
		if len(in) == 0 {
			return data, "", io.ErrUnexpectedEOF
		}
		window = min(step, len(in))
		skip, err := c.Next(in[:window])
		if err != nil {
			return data, string(in), err
		}
		in = in[skip:]
		if n := min(c.Left(), int64(window-skip)); n > 0 {
			data += string(in[:n])
			in = in[n:]
			c.Took(int(n))
		}
	}
}

func TestChunked(t *testing.T) {
	for _, c := range []struct {
		why, raw, data, rest string
		bad                  bool
	}{
		{"two chunks", "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nnext", "abc0123456789", "\r\nnext", false},
		{"extensions", "3;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n", "abc", "\r\n", false},
		{"leading zeros", "0003\r\nabc\r\n000\r\n\r\n", "abc", "\r\n", false},
		{"data that looks like framing", "5\r\n0\r\n\r\n\r\n0\r\n", "0\r\n\r\n", "", false},
		{"no size", "\r\nabc", "", "", true},
		{"a sign", "+3\r\nabc\r\n", "", "", true},
		{"0x", "0x3\r\nabc\r\n", "", "", true},
		{"a space before the line end", "3 \r\nabc\r\n", "", "", true},
		{"a bare line feed after the size", "3\nabc\r\n", "", "", true},
		{"a bare line feed in an extension", "3;a\nabc\r\n", "", "", true},
		{"a bare carriage return in an extension", "3;a\rb\r\nabc\r\n", "", "", true},
		{"a bare line feed after the data", "3\r\nabc\n0\r\n", "", "", true},
		{"data longer than its size", "3\r\nabcd\r\n0\r\n", "", "", true},
		{"a size that overflows", "FFFFFFFFFFFFFFFF\r\n", "", "", true},
		{"a size that overflows to zero", "10000000000000000\r\n", "", "", true},
		{"a long extension", "3;" + strings.Repeat("a", 300) + "\r\nabc\r\n0\r\n", "", "", true},
		{"many extensions", strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 100) + "0\r\n", "", "", true},
	} {
		t.Run(c.why, func(t *testing.T) {
			for _, step := range []int{1, 2, 7, 1 << 20} {
				data, rest, err := unchunk(c.raw, step)
				var bad *parse.Error
				if c.bad {
					if !errors.As(err, &bad) || bad.Status != 400 {
						t.Errorf("step %d: got %q, %v, want a refusal", step, data, err)
					}
					continue
				}
				if err != nil || data != c.data || rest != c.rest {
					t.Errorf("step %d: got %q, rest %q, %v", step, data, rest, err)
				}
			}
		})
	}
	if _, _, err := unchunk(strings.Repeat("1\r\nx\r\n", 20_000)+"0\r\n", 1<<20); err != nil {
		t.Errorf("one-byte chunks, as a token stream has them: %v", err)
	}
}

func TestTrailer(t *testing.T) {
	var h message.Header
	if err := parse.Trailer("Grpc-Status: 0\r\nContent-Length: 5\r\nHost: evil\r\nX: y\r\n\r\n", &h); err != nil {
		t.Fatal(err)
	}
	if got, want := fields(&h), "Grpc-Status=0;X=y;"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, bad := range []string{"A b: c\r\n\r\n", "A: b\r\n c\r\n\r\n", "A: b\x00\r\n\r\n"} {
		if err := parse.Trailer(bad, new(message.Header)); err == nil {
			t.Errorf("%q: taken", bad)
		}
	}
}

// A head that arrives byte by byte is found at the same place.
func TestScanByteByByte(t *testing.T) {
	raw := []byte("POST /a HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\nbody\r\n\r\n")
	var s parse.Scan
	for i := range raw {
		n, err := s.End(raw[:i+1], parse.Default)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			if want := strings.Index(string(raw), "body"); n != want || s.Fields() != 2 {
				t.Errorf("got end %d with %d fields, want %d with 2", n, s.Fields(), want)
			}
			return
		}
	}
	t.Error("no end found")
}
