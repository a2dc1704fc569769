package tools

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// addContent adds a resource, a resource template and a prompt.
func (s *Server) addContent(server *mcp.Server) {
	server.AddResource(&mcp.Resource{Name: "about", URI: "sim://about", MIMEType: "text/plain", Description: "Which server this is"}, s.read)
	server.AddResourceTemplate(&mcp.ResourceTemplate{Name: "square", URITemplate: "sim://square/{n}", MIMEType: "text/plain", Description: "The square of a number"}, s.read)
	server.AddPrompt(&mcp.Prompt{
		Name: "greet", Description: "A greeting",
		Arguments: []*mcp.PromptArgument{{Name: "name", Description: "whom to greet", Required: true}},
	}, func(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		greeting := fmt.Sprintf("Say hello to %s from %s in %s.", r.Params.Arguments["name"], s.options.Name, s.options.Region)
		return &mcp.GetPromptResult{Description: "A greeting", Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: greeting}}}}, nil
	})
}

func (s *Server) read(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	uri, words := r.Params.URI, ""
	if n, found := strings.CutPrefix(uri, "sim://square/"); found {
		value, err := strconv.Atoi(n)
		if err != nil {
			return nil, mcp.ResourceNotFoundError(uri)
		}
		words = strconv.Itoa(value * value)
	} else {
		words = s.options.Name + " in " + s.options.Region
	}
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: uri, MIMEType: "text/plain", Text: words}}}, nil
}

// names are what the prompt's argument is completed from.
var names = []string{"ada", "alan", "barbara", "grace"}

func (s *Server) complete(_ context.Context, r *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
	var values []string
	for _, name := range names {
		if strings.HasPrefix(name, r.Params.Argument.Value) {
			values = append(values, name)
		}
	}
	return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: values, Total: len(values)}}, nil
}
