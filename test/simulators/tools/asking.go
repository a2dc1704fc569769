package tools

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type question struct {
	Text string `json:"text" jsonschema:"what to ask"`
}

type steps struct {
	Steps int `json:"steps" jsonschema:"how many notifications"`
	MS    int `json:"ms,omitempty" jsonschema:"milliseconds between them"`
}

type entry struct {
	Level string `json:"level" jsonschema:"debug, info, warning or error"`
	Text  string `json:"text"`
}

// addAsking adds the tools that speak to the client while they run.
func (s *Server) addAsking(server *mcp.Server) {
	mcp.AddTool(server, &mcp.Tool{Name: "sample", Description: "Have the client's model say something", Annotations: effect()}, s.sample)
	mcp.AddTool(server, &mcp.Tool{Name: "elicit", Description: "Ask the client's user for a word", Annotations: effect()}, s.elicit)
	mcp.AddTool(server, &mcp.Tool{Name: "progress", Description: "Report progress step by step", Annotations: pure()}, progress)
	mcp.AddTool(server, &mcp.Tool{Name: "log", Description: "Send the client a log message", Annotations: pure()}, s.log)
}

// sample asks by an input request: the kit turns it into sampling/createMessage
// for clients that have sessions.
func (s *Server) sample(_ context.Context, r *mcp.CallToolRequest, in question) (*mcp.CallToolResult, any, error) {
	switch answer := r.Params.InputResponses["sample"].(type) {
	case nil:
		return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"sample": &mcp.CreateMessageParams{
			MaxTokens: 100, SystemPrompt: "asked by " + s.options.Name,
			Messages: []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: in.Text}}},
		}}}, nil, nil
	case *mcp.CreateMessageResult:
		return text("the model said: %s", said(answer.Content)), nil, nil
	case *mcp.CreateMessageWithToolsResult:
		return text("the model said: %s", said(answer.Content...)), nil, nil
	default:
		return nil, nil, fmt.Errorf("reading what the model said: it is a %T", answer)
	}
}

func said(content ...mcp.Content) string {
	all := ""
	for _, one := range content {
		if words, ok := one.(*mcp.TextContent); ok {
			all += words.Text
		}
	}
	return all
}

func (s *Server) elicit(_ context.Context, r *mcp.CallToolRequest, in question) (*mcp.CallToolResult, any, error) {
	switch answer := r.Params.InputResponses["elicit"].(type) {
	case nil:
		return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"elicit": &mcp.ElicitParams{
			Message: in.Text,
			RequestedSchema: &jsonschema.Schema{
				Type: "object", Properties: map[string]*jsonschema.Schema{"word": {Type: "string"}}, Required: []string{"word"},
			},
		}}}, nil, nil
	case *mcp.ElicitResult:
		if answer.Action != "accept" {
			return text("the user chose to %s", answer.Action), nil, nil
		}
		return text("the user said: %v", answer.Content["word"]), nil, nil
	default:
		return nil, nil, fmt.Errorf("reading what the user said: it is a %T", answer)
	}
}

// progress notifies only a client that gave a token.
func progress(ctx context.Context, r *mcp.CallToolRequest, in steps) (*mcp.CallToolResult, any, error) {
	for i := 1; i <= in.Steps; i++ {
		if _, _, err := slow(ctx, r, wait{MS: in.MS}); err != nil {
			return nil, nil, err
		}
		token := r.Params.GetProgressToken()
		if token == nil {
			continue
		}
		if err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
			ProgressToken: token, Progress: float64(i), Total: float64(in.Steps), Message: fmt.Sprintf("step %d", i),
		}); err != nil {
			return nil, nil, fmt.Errorf("reporting step %d: %w", i, err)
		}
	}
	return text("%d steps done", in.Steps), nil, nil
}

// log sends what the client's level lets through.
func (s *Server) log(ctx context.Context, r *mcp.CallToolRequest, in entry) (*mcp.CallToolResult, any, error) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warning": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[in.Level]
	if !ok {
		return nil, nil, fmt.Errorf("logging at %q: no such level", in.Level)
	}
	slog.New(mcp.NewLoggingHandler(r.Session, &mcp.LoggingHandlerOptions{LoggerName: s.options.Name})).Log(ctx, level, in.Text)
	return text("logged"), nil, nil
}
