package tools_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/navehq/nave/test/simulators/tools"
)

func TestMathAnswersPlainly(t *testing.T) {
	front := httptest.NewServer(tools.Math())
	defer front.Close()
	for _, test := range []struct {
		reason, body string
		status       int
		want         string
	}{
		{"initialize", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`, 200, `"protocolVersion":"2024-11-05"`},
		{"an initialised client is told nothing", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, 202, ``},
		{"ping, with an id that is a string", `{"jsonrpc":"2.0","id":"x","method":"ping"}`, 200, `{"id":"x","jsonrpc":"2.0","result":{}}`},
		{"list", `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, 200, `"name":"multiply"`},
		{"add", `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"add","arguments":{"a":2,"b":40}}}`, 200, `"text":"42"`},
		{"multiply", `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"multiply","arguments":{"a":6,"b":7}}}`, 200, `"text":"42"`},
		{"an unknown method", `{"jsonrpc":"2.0","id":4,"method":"resources/list"}`, 404, `{"error":{"code":-32601,"message":"Method not found"},"id":4,"jsonrpc":"2.0"}`},
		{"an unknown tool", `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"divide","arguments":{"a":1,"b":1}}}`, 500, `"code":-32603`},
		{"an argument that is missing", `{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"add","arguments":{"a":1}}}`, 500, `"id":null`},
		{"no JSON", `{`, 500, `"code":-32603`},
	} {
		response, err := http.Post(front.URL+"/mcp", "application/json", strings.NewReader(test.body))
		check(t, err)
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		check(t, err)
		if response.StatusCode != test.status || !strings.Contains(string(body), test.want) || test.want == "" && len(body) > 0 {
			t.Errorf("%s: %d %s", test.reason, response.StatusCode, body)
		}
		if session := response.Header.Get("mcp-session-id"); session != "" {
			t.Errorf("%s: a session %q", test.reason, session)
		}
	}
}

func TestMathServesTheOfficialClient(t *testing.T) {
	front := httptest.NewServer(tools.Math())
	defer front.Close()
	session := (&client{}).connect(t, &mcp.StreamableClientTransport{Endpoint: front.URL + "/mcp"})
	if got := words(call(t, session, "add", map[string]any{"a": 20, "b": 22})); got != "42" {
		t.Errorf("added to %q", got)
	}
}

func FuzzMath(f *testing.F) {
	f.Add(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"add","arguments":{"a":2,"b":40}}}`)
	f.Add(`{"id":{},"method":"tools/call","params":[]}`)
	server := tools.Math()
	f.Fuzz(func(t *testing.T, body string) {
		recorder := httptest.NewRecorder()
		server.ServeHTTP(recorder, httptest.NewRequest("POST", "/mcp", strings.NewReader(body)))
	})
}
