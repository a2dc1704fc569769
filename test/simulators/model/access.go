package model

import (
	"net"
	"net/http"
	"slices"
)

// access is which credentials are accepted.
type access struct {
	Keys    []string `json:"keys"`
	Bearers []string `json:"bearers"`
}

// admitted checks the credentials and the version that the dialect wants.
func (x *exchange) admitted() bool {
	if !x.authorised() {
		x.unauthorised()
		return false
	}
	switch {
	case x.dialect == azureDated && x.r.URL.Query().Get("api-version") == "":
		x.fail(http.StatusNotFound, "404", "Resource not found")
		return false
	case x.dialect == anthropic && x.r.Header.Get("anthropic-version") == "":
		x.fail(http.StatusBadRequest, "", "anthropic-version: header is required")
		return false
	}
	return true
}

func (x *exchange) authorised() bool {
	x.sim.mu.Lock()
	allowed := x.sim.access
	x.sim.mu.Unlock()
	approve := x.sim.options.Bearer
	if len(allowed.Keys) == 0 && len(allowed.Bearers) == 0 && approve == nil {
		return true
	}
	key := x.r.Header.Get("api-key")
	if x.dialect == anthropic {
		key = x.r.Header.Get("x-api-key")
	}
	token := bearer(x.r)
	switch {
	case x.dialect != openAI && key != "":
		return slices.Contains(allowed.Keys, key)
	case token == "":
		return false
	case slices.Contains(allowed.Bearers, token) || approve != nil && approve(token):
		return true
	}
	return (x.dialect == openAI || x.dialect == azure) && slices.Contains(allowed.Keys, token)
}

func (x *exchange) unauthorised() {
	switch x.dialect {
	case anthropic:
		x.fail(http.StatusUnauthorized, "", "invalid x-api-key")
	case openAI:
		x.fail(http.StatusUnauthorized, "invalid_api_key", "Incorrect API key provided.")
	default:
		x.fail(http.StatusUnauthorized, "401", "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.")
	}
}

// fail answers with an error in the dialect's shape.
func (x *exchange) fail(status int, code, message string) {
	x.answer(status, x.failure(status, code, message))
	x.finished = true
}

func (x *exchange) failure(status int, code, message string) object {
	switch x.dialect {
	case anthropic:
		return object{"type": "error", "error": object{"type": anthropicType(status), "message": message}, "request_id": "req_" + x.id}
	case openAI:
		return object{"error": object{"message": message, "type": openAIType(status), "param": nil, "code": orNil(code)}}
	}
	return object{"error": object{"code": code, "message": message}}
}

func openAIType(status int) string {
	switch status {
	case 401:
		return "authentication_error"
	case 403:
		return "permission_denied"
	case 429:
		return "rate_limit_error"
	case 529:
		return "overloaded"
	}
	if status >= 500 {
		return "server_error"
	}
	return "invalid_request_error"
}

func anthropicType(status int) string {
	switch status {
	case 401:
		return "authentication_error"
	case 403:
		return "permission_error"
	case 404:
		return "not_found_error"
	case 413:
		return "request_too_large"
	case 429:
		return "rate_limit_error"
	case 529:
		return "overloaded_error"
	}
	if status >= 500 {
		return "api_error"
	}
	return "invalid_request_error"
}

// code is what providers write beside a status.
func (x *exchange) code(status int) string {
	if x.dialect == azure || x.dialect == azureDated {
		if status == 429 {
			return "RateLimitReached"
		}
		return http.StatusText(status)
	}
	switch status {
	case 429:
		return "rate_limit_exceeded"
	case 401:
		return "invalid_api_key"
	}
	return ""
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// underlying is the socket below TLS.
func underlying(conn net.Conn) net.Conn {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	return conn
}
