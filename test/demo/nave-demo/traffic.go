package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// sessions is how many MCP sessions are held.
const sessions = 16

// result is one request as its client saw it, timed from when it was due.
type result struct {
	kind   string
	due    time.Time
	took   time.Duration
	served string
	err    error
	// begun: the client had got a part of the answer when it broke off.
	begun bool
}

// traffic is an open loop: requests begin when they are due, whatever became of
// those before them.
type traffic struct {
	models []openai.Client
	tools  []*tool

	wg      sync.WaitGroup
	mu      sync.Mutex
	results []result
	flying  map[string]int
	likely  string
}

// tool is one MCP session that is held over the whole run.
type tool struct {
	session *mcp.ClientSession
	id      string
}

func connect(ctx context.Context, d doors) (*traffic, error) {
	t := &traffic{flying: map[string]int{}}
	for _, url := range d.models {
		t.models = append(t.models, openai.NewClient(
			option.WithBaseURL(url+"/azureopenai/"), option.WithAPIKey("none"), option.WithMaxRetries(0),
		))
	}
	for i := range sessions {
		client := mcp.NewClient(&mcp.Implementation{Name: "nave-demo", Version: "1"}, nil)
		session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: d.tools[i%len(d.tools)] + "/mcp", MaxRetries: -1}, nil)
		if err != nil {
			return nil, fmt.Errorf("open an MCP session: %w", err)
		}
		// The catalogue tells the gateway which tools are safe to repeat.
		if _, err := session.ListTools(ctx, nil); err != nil {
			return nil, fmt.Errorf("list the tools: %w", err)
		}
		t.tools = append(t.tools, &tool{session, session.ID()})
	}
	return t, nil
}

// run sends rate requests a second until ctx ends, and waits for the last.
func (t *traffic) run(ctx context.Context, rate int) {
	tick := time.Second / time.Duration(rate)
	begin := time.Now()
	for n := 0; ; n++ {
		due := begin.Add(time.Duration(n) * tick)
		select {
		case <-ctx.Done():
			t.wg.Wait()
			return
		case <-time.After(time.Until(due)):
		}
		t.wg.Go(func() { t.one(n, due) })
	}
}

// one sends one request: half are model calls, every other of them streamed;
// half are tool calls.
func (t *traffic) one(n int, due time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r := result{due: due}
	where := t.begin()
	switch n % 4 {
	case 0:
		r.kind = "chat"
		r.served, r.err = t.chat(ctx, n/4)
	case 2:
		r.kind = "stream"
		r.served, r.begun, r.err = t.stream(ctx, n/4)
	default:
		r.kind = "tool"
		r.served, r.err = t.call(ctx, n/2)
	}
	r.took = time.Since(due)
	t.end(where, r)
}

// begin counts a request where the ones before it were served.
func (t *traffic) begin() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flying[t.likely]++
	return t.likely
}

func (t *traffic) end(where string, r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flying[where]--
	if r.served != "" {
		t.likely = r.served
	}
	t.results = append(t.results, r)
}

func prompt(stream bool) openai.ChatCompletionNewParams {
	p := openai.ChatCompletionNewParams{Model: "any", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Say something in 12 words.")}}
	if stream {
		p.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	}
	return p
}

var errIncomplete = errors.New("the answer is incomplete")

// toPath sends to the gateway's route as it is: it names no operation.
func toPath() option.RequestOption {
	return option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		r.URL.Path = "/azureopenai"
		return next(r)
	})
}

func (t *traffic) chat(ctx context.Context, n int) (string, error) {
	var raw *http.Response
	answer, err := t.models[n%len(t.models)].Chat.Completions.New(ctx, prompt(false), toPath(), option.WithResponseInto(&raw))
	if err != nil {
		return "", err
	}
	if len(answer.Choices) == 0 || answer.Usage.TotalTokens == 0 {
		return "", errIncomplete
	}
	return region(raw), nil
}

func (t *traffic) stream(ctx context.Context, n int) (served string, begun bool, err error) {
	var raw *http.Response
	s := t.models[n%len(t.models)].Chat.Completions.NewStreaming(ctx, prompt(true), toPath(), option.WithResponseInto(&raw))
	defer s.Close()
	var sum openai.ChatCompletionAccumulator
	for s.Next() {
		begun = true
		if !sum.AddChunk(s.Current()) {
			return "", begun, errIncomplete
		}
	}
	if err := s.Err(); err != nil {
		return "", begun, err
	}
	if len(sum.Choices) == 0 || sum.Choices[0].FinishReason == "" || sum.Usage.TotalTokens == 0 {
		return "", begun, errIncomplete
	}
	return region(raw), begun, nil
}

// region is the cluster that served, as the gateway says it.
func region(r *http.Response) string {
	if r == nil {
		return ""
	}
	served, _, _ := strings.Cut(r.Header.Get("x-nave-served-by"), "/")
	return served
}

// call calls a tool that is safe to repeat: it says where it ran.
func (t *traffic) call(ctx context.Context, n int) (string, error) {
	x := t.tools[n%len(t.tools)]
	got, err := x.session.CallTool(ctx, &mcp.CallToolParams{Name: "where"})
	if err != nil {
		return "", err
	}
	if got.IsError || len(got.Content) == 0 {
		return "", errIncomplete
	}
	text, ok := got.Content[0].(*mcp.TextContent)
	if !ok {
		return "", errIncomplete
	}
	if x.session.ID() != x.id {
		return "", errors.New("the session has another id than before")
	}
	return placeIn(text.Text), nil
}

// placeIn finds the region in what the tool says.
func placeIn(text string) string {
	var where struct {
		Region string `json:"region"`
	}
	if json.Unmarshal([]byte(text), &where) == nil && where.Region != "" {
		return where.Region
	}
	for _, name := range []string{"westus2", "southcentralus", "eastus"} {
		if strings.Contains(text, name) {
			return name
		}
	}
	return ""
}

// since gives the results of requests that were due from a time on, and how
// many are on their way where.
func (t *traffic) since(from time.Time) ([]result, map[string]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []result
	for _, r := range t.results {
		if !r.due.Before(from) {
			out = append(out, r)
		}
	}
	flying := map[string]int{}
	for k, v := range t.flying {
		flying[k] = v
	}
	return out, flying
}
