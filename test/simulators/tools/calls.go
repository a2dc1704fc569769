package tools

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxWait bounds how long a tool can be told to wait.
const maxWait = 10 * time.Minute

type pair struct {
	A int `json:"a" jsonschema:"the first number"`
	B int `json:"b" jsonschema:"the second number"`
}

type nothing struct{}

type number struct {
	Result int `json:"result"`
}

type place struct {
	Name    string `json:"name"`
	Region  string `json:"region"`
	Session string `json:"session,omitempty"`
}

type wait struct {
	MS int `json:"ms" jsonschema:"milliseconds to wait"`
}

type failure struct {
	Message  string `json:"message,omitempty" jsonschema:"what to fail with"`
	Protocol bool   `json:"protocol,omitempty" jsonschema:"fail with a JSON-RPC error instead of a result that is one"`
}

// pure marks a tool that may be called again without harm.
func pure() *mcp.ToolAnnotations {
	no := false
	return &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true, DestructiveHint: &no, OpenWorldHint: &no}
}

// effect marks a tool that must not be.
func effect() *mcp.ToolAnnotations {
	no := false
	return &mcp.ToolAnnotations{ReadOnlyHint: false, IdempotentHint: false, DestructiveHint: &no, OpenWorldHint: &no}
}

func text(format string, args ...any) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(format, args...)}}}
}

func (s *Server) addTools(server *mcp.Server) {
	mcp.AddTool(server, &mcp.Tool{Name: "add", Description: "Add two numbers together", Annotations: pure()},
		func(_ context.Context, _ *mcp.CallToolRequest, in pair) (*mcp.CallToolResult, number, error) {
			return text("%d", in.A+in.B), number{in.A + in.B}, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "multiply", Description: "Multiply two numbers together", Annotations: pure()},
		func(_ context.Context, _ *mcp.CallToolRequest, in pair) (*mcp.CallToolResult, number, error) {
			return text("%d", in.A*in.B), number{in.A * in.B}, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "count", Description: "Count this session's calls of it: each call has an effect", Annotations: effect()},
		func(_ context.Context, r *mcp.CallToolRequest, _ nothing) (*mcp.CallToolResult, number, error) {
			n := s.count(r.Session)
			return text("%d", n), number{n}, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "where", Description: "Say which server answers, and where it is", Annotations: pure()},
		func(_ context.Context, r *mcp.CallToolRequest, _ nothing) (*mcp.CallToolResult, place, error) {
			return text("%s in %s", s.options.Name, s.options.Region), place{s.options.Name, s.options.Region, r.Session.ID()}, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "slow", Description: "Answer after some milliseconds", Annotations: pure()}, slow)
	mcp.AddTool(server, &mcp.Tool{Name: "fail", Description: "Fail", Annotations: effect()}, fail)
	mcp.AddTool(server, &mcp.Tool{Name: "toggle", Description: "Add the tool extra to the list, or remove it", Annotations: effect()},
		func(context.Context, *mcp.CallToolRequest, nothing) (*mcp.CallToolResult, any, error) {
			if s.toggle(server) {
				return text("extra is there"), nil, nil
			}
			return text("extra is gone"), nil, nil
		})
}

// count counts per session. A session's counter goes with the session.
func (s *Server) count(session *mcp.ServerSession) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[session] == 0 {
		go func() {
			session.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.counts, session)
		}()
	}
	s.counts[session]++
	return s.counts[session]
}

// toggle changes the list of tools, of which the kit tells every session.
func (s *Server) toggle(server *mcp.Server) bool {
	s.mu.Lock()
	s.extra = !s.extra
	there := s.extra
	s.mu.Unlock()
	if !there {
		server.RemoveTools("extra")
		return false
	}
	mcp.AddTool(server, &mcp.Tool{Name: "extra", Description: "Was not there before", Annotations: pure()},
		func(context.Context, *mcp.CallToolRequest, nothing) (*mcp.CallToolResult, any, error) {
			return text("extra"), nil, nil
		})
	return true
}

func slow(ctx context.Context, _ *mcp.CallToolRequest, in wait) (*mcp.CallToolResult, any, error) {
	pause := time.Duration(in.MS) * time.Millisecond
	if pause < 0 || pause > maxWait {
		return nil, nil, fmt.Errorf("waiting %v: not between 0 and %v", pause, maxWait)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return text("waited %v", pause), nil, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

func fail(_ context.Context, _ *mcp.CallToolRequest, in failure) (*mcp.CallToolResult, any, error) {
	if in.Message == "" {
		in.Message = "failed, as asked"
	}
	if in.Protocol {
		return nil, nil, &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: in.Message}
	}
	return nil, nil, errors.New(in.Message)
}
