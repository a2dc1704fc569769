package observe

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// stamp is RFC 3339 in UTC with microseconds, as agentgateway writes it.
const stamp = "2006-01-02T15:04:05.000000Z"

// fields writes key and value pairs in one of the two forms.
type fields struct {
	b    []byte
	json bool
}

func (f *fields) key(name string) {
	if !f.json {
		f.b = append(append(append(f.b, ' '), name...), '=')
		return
	}
	f.b = append(append(append(f.b, ',', '"'), name...), '"', ':')
}

// str writes a text; empty ones are left out.
func (f *fields) str(name, v string) {
	if v == "" {
		return
	}
	f.key(name)
	if f.json || !plain(v) {
		f.b = quote(f.b, v)
		return
	}
	f.b = append(f.b, v...)
}

// num writes a number; zero is left out.
func (f *fields) num(name string, v int64) {
	if v != 0 {
		f.key(name)
		f.b = strconv.AppendInt(f.b, v, 10)
	}
}

// number writes a number as JSON has it; an empty one is left out.
func (f *fields) number(name, v string) {
	if v != "" {
		f.key(name)
		f.b = append(f.b, v...)
	}
}

func (f *fields) seconds(name string, d time.Duration) {
	if d != 0 {
		f.key(name)
		f.b = strconv.AppendFloat(f.b, math.Round(d.Seconds()*1e6)/1e6, 'f', -1, 64)
	}
}

// millis ends in ms, and is therefore a text in JSON.
func (f *fields) millis(name string, d time.Duration) {
	f.key(name)
	if f.json {
		f.b = append(f.b, '"')
	}
	f.b = append(strconv.AppendInt(f.b, d.Milliseconds(), 10), "ms"...)
	if f.json {
		f.b = append(f.b, '"')
	}
}

func (f *fields) addr(name string, a netip.AddrPort) {
	if !a.IsValid() {
		return
	}
	f.key(name)
	if f.json {
		f.b = append(f.b, '"')
	}
	f.b = a.AppendTo(f.b)
	if f.json {
		f.b = append(f.b, '"')
	}
}

// plain tells whether a value can stand without quotes and be read back.
func plain(v string) bool {
	for i := 0; i < len(v); i++ {
		if c := v[i]; c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return true
}

const hexadecimal = "0123456789abcdef"

// quote writes a JSON string, so that no value can end its line or forge a field.
func quote(b []byte, v string) []byte {
	b = append(b, '"')
	for i := 0; i < len(v); {
		c := v[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hexadecimal[c>>4], hexadecimal[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(v[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}

// appendLine writes the access-log line of a record, keys and order as
// agentgateway's, Nave's before the last four.
func appendLine(b []byte, r *Record, end time.Time, json bool) []byte {
	f := fields{b: b, json: json}
	if json {
		f.b = append(f.b, `{"time":"`...)
		f.b = end.UTC().AppendFormat(f.b, stamp)
		f.b = append(f.b, `","level":"info","scope":"request"`...)
	} else {
		f.b = end.UTC().AppendFormat(f.b, stamp)
		f.b = append(f.b, " info request"...)
	}
	appendHTTP(&f, r)
	if r.MCP != nil {
		appendMCP(&f, r.MCP)
	}
	if r.LLM != nil {
		appendLLM(&f, r.LLM)
	}
	f.str("nave.cluster", r.Cluster)
	f.str("nave.served_by", r.ServedBy)
	f.num("nave.attempts", int64(r.Attempts))
	f.str("nave.failover.reason", r.FailoverReason)
	f.num("retry.attempt", int64(max(0, r.Attempts-1)))
	f.str("error", r.Error)
	if r.Reason != "Upstream" {
		f.str("reason", r.Reason)
	}
	f.millis("duration", end.Sub(r.Start))
	if json {
		f.b = append(f.b, '}')
	}
	return append(f.b, '\n')
}

func appendHTTP(f *fields, r *Record) {
	f.str("gateway", r.Gateway)
	f.str("listener", r.Listener)
	f.str("route_rule", r.RuleName)
	f.str("route", r.Route)
	f.str("endpoint", r.Endpoint)
	f.addr("src.addr", r.Source)
	f.str("http.method", r.Method)
	f.str("http.host", r.Host)
	f.str("http.path", r.Path)
	f.str("http.version", r.Version)
	f.num("http.status", int64(r.Status))
	f.str("tls.sni", r.ServerName)
	f.str("trace.id", r.TraceID)
	f.str("span.id", r.SpanID)
	f.str("protocol", r.Protocol)
}

func appendMCP(f *fields, m *MCP) {
	f.str("mcp.method.name", m.Method)
	f.str("mcp.target", m.Server)
	f.str("mcp.resource.type", m.ResourceType)
	switch m.ResourceType {
	case "tool":
		f.str("gen_ai.tool.name", m.Name)
	case "prompt":
		f.str("gen_ai.prompt.name", m.Name)
	default:
		uri, _, _ := strings.Cut(m.Name, "?")
		f.str("mcp.resource.uri", uri)
	}
	f.str("mcp.session.id", m.Session)
	f.num("mcp.error.code", int64(m.ErrorCode))
	f.str("mcp.error.message", m.ErrorMessage)
	f.str("nave.mcp.session.moved", m.Moved)
}

func appendLLM(f *fields, l *LLM) {
	f.str("gen_ai.operation.name", l.Operation)
	f.str("gen_ai.provider.name", l.Provider)
	f.str("gen_ai.request.model", l.RequestModel)
	f.str("gen_ai.response.model", l.ResponseModel)
	f.num("gen_ai.usage.input_tokens", l.InputTokens)
	f.num("gen_ai.usage.cache_creation.input_tokens", l.CacheWrite)
	f.num("gen_ai.usage.cache_read.input_tokens", l.CachedTokens)
	f.num("gen_ai.usage.output_tokens", l.OutputTokens)
	f.num("gen_ai.usage.reasoning_tokens", l.Reasoning)
	f.seconds("agw.ai.time_to_first_token", l.FirstToken)
	f.seconds("agw.ai.time_per_output_token", l.PerToken)
	f.number("gen_ai.request.temperature", l.Asked.Temperature)
	f.number("gen_ai.request.top_p", l.Asked.TopP)
	f.number("gen_ai.request.max_tokens", l.Asked.MaxTokens)
	f.number("gen_ai.request.frequency_penalty", l.Asked.FrequencyPenalty)
	f.number("gen_ai.request.presence_penalty", l.Asked.PresencePenalty)
	f.number("gen_ai.request.seed", l.Asked.Seed)
	f.number("gen_ai.embeddings.dimension.count", l.Asked.Dimensions)
	f.str("gen_ai.request.encoding_formats", l.Asked.Encoding)
}
