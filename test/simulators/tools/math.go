package tools

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Math is the plainest MCP server that people run behind a gateway: one path,
// /mcp, that answers each POST with one JSON object, has no sessions and no
// events, answers 202 to a client that is initialised, and 404 with a JSON-RPC
// error to a method that it does not know. GET / is its readiness.
func Math() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /mcp", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		var message struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
		}
		if err == nil {
			err = json.Unmarshal(body, &message)
		}
		if err != nil {
			mathError(w, http.StatusInternalServerError, nil, -32603, err.Error())
			return
		}
		if message.Method == "notifications/initialized" {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		result, err := mathResult(message.Method, message.Params)
		switch {
		case err != nil:
			mathError(w, http.StatusInternalServerError, nil, -32603, err.Error())
		case result == nil:
			mathError(w, http.StatusNotFound, message.ID, -32601, "Method not found")
		default:
			mathReply(w, http.StatusOK, map[string]any{"jsonrpc": "2.0", "id": message.ID, "result": result})
		}
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		mathReply(w, http.StatusOK, map[string]any{"status": "ok"})
	})
	return mux
}

// mathResult is nil for a method that there is not.
func mathResult(method string, params json.RawMessage) (map[string]any, error) {
	switch method {
	case "initialize":
		return map[string]any{
			"protocolVersion": "2024-11-05", "capabilities": map[string]any{"tools": map[string]any{}},
			"serverInfo": map[string]any{"name": "Math-Service", "version": "1.0"},
		}, nil
	case "ping":
		return map[string]any{}, nil
	case "tools/list":
		return map[string]any{"tools": []any{
			mathTool("add", "Add two numbers together"), mathTool("multiply", "Multiply two numbers together"),
		}}, nil
	case "tools/call":
		return mathCall(params)
	}
	return nil, nil
}

func mathTool(name, description string) map[string]any {
	integer := func(title string) map[string]any { return map[string]any{"title": title, "type": "integer"} }
	return map[string]any{"name": name, "description": description, "inputSchema": map[string]any{
		"title": name + "Arguments", "type": "object", "required": []string{"a", "b"},
		"properties": map[string]any{"a": integer("A"), "b": integer("B")},
	}}
}

func mathCall(params json.RawMessage) (map[string]any, error) {
	var call struct {
		Name      string `json:"name"`
		Arguments struct {
			A, B *int
		} `json:"arguments"`
	}
	if err := json.Unmarshal(params, &call); err != nil {
		return nil, fmt.Errorf("reading a call: %w", err)
	}
	if call.Arguments.A == nil || call.Arguments.B == nil {
		return nil, fmt.Errorf("calling %q: a and b are required", call.Name)
	}
	var value int
	switch call.Name {
	case "add":
		value = *call.Arguments.A + *call.Arguments.B
	case "multiply":
		value = *call.Arguments.A * *call.Arguments.B
	default:
		return nil, fmt.Errorf("calling %q: unknown tool", call.Name)
	}
	return map[string]any{"content": []any{map[string]any{"type": "text", "text": strconv.Itoa(value)}}, "isError": false}, nil
}

func mathError(w http.ResponseWriter, status int, id json.RawMessage, code int, message string) {
	mathReply(w, status, map[string]any{"jsonrpc": "2.0", "id": id, "error": map[string]any{"code": code, "message": message}})
}

func mathReply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}
