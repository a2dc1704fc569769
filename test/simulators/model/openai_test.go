package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/navehq/nave/test/simulators/authority"
	"github.com/navehq/nave/test/simulators/model"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/azure"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
)

func start(t *testing.T, options model.Options) (*model.Simulator, *httptest.Server) {
	sim := model.New(options)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return sim, server
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clients are the ways in which the official kit reaches the simulator.
func clients(t *testing.T, options model.Options) map[string]*openai.Client {
	options.Keys = []string{"secret"}
	options.Bearers = []string{"entra-token"}
	_, plain := start(t, options)
	issuer, err := authority.New("test")
	check(t, err)
	secure := httptest.NewUnstartedServer(model.New(options))
	secure.TLS, err = issuer.Serve("127.0.0.1")
	check(t, err)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	trust := &http.Client{Transport: secure.Client().Transport}
	trust.Transport.(*http.Transport).TLSClientConfig.RootCAs = issuer.Pool()
	client := func(options ...option.RequestOption) *openai.Client {
		c := openai.NewClient(append(options, option.WithMaxRetries(0))...)
		return &c
	}
	return map[string]*openai.Client{
		"openai":      client(option.WithBaseURL(plain.URL+"/v1"), option.WithAPIKey("secret")),
		"azure dated": client(azure.WithEndpoint(secure.URL, "2024-10-21"), azure.WithAPIKey("secret"), option.WithHTTPClient(trust)),
		"azure entra": client(azure.WithEndpoint(secure.URL, "2024-10-21"), azure.WithTokenCredential(fixed("entra-token")), option.WithHTTPClient(trust)),
		"azure v1":    client(option.WithBaseURL(plain.URL+"/openai/v1"), option.WithHeader("api-key", "secret"), option.WithAPIKey("unused")),
	}
}

// fixed is a credential that is always the same token.
type fixed string

func (f fixed) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(f)}, nil
}

func question(text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: "gpt-5.4-mini", Messages: []openai.ChatCompletionMessageParamUnion{
		openai.SystemMessage("be brief"), openai.UserMessage(text),
	}}
}

func TestChat(t *testing.T) {
	for name, client := range clients(t, model.Options{Name: "west", Region: "westus2"}) {
		t.Run(name, func(t *testing.T) {
			var raw *http.Response
			got, err := client.Chat.Completions.New(t.Context(), question("hello there"), option.WithResponseInto(&raw))
			check(t, err)
			if text := got.Choices[0].Message.Content; text != "west in westus2 heard: hello there" {
				t.Errorf("answered %q", text)
			}
			if got.Usage.PromptTokens != 4 || got.Usage.CompletionTokens != 6 || got.Usage.TotalTokens != 10 {
				t.Errorf("usage %+v, want 4 words in and 6 out", got.Usage)
			}
			if got.Model != "gpt-5.4-mini" || raw.Header.Get("x-sim-name") != "west" || got.SystemFingerprint != "fp_west" {
				t.Errorf("model %q, fingerprint %q: who served does not show", got.Model, got.SystemFingerprint)
			}
		})
	}
}

func TestChatStream(t *testing.T) {
	for name, client := range clients(t, model.Options{}) {
		for _, usage := range []bool{false, true} {
			params := question("hello there in 30 words")
			if usage {
				params.StreamOptions.IncludeUsage = openai.Bool(true)
			}
			stream := client.Chat.Completions.NewStreaming(t.Context(), params)
			var all openai.ChatCompletionAccumulator
			empty, counted := 0, 0
			for stream.Next() {
				chunk := stream.Current()
				if len(chunk.Choices) == 0 {
					empty++
				}
				if chunk.Usage.TotalTokens > 0 {
					counted++
				}
				if chunk.ID != "" && !all.AddChunk(chunk) {
					t.Fatalf("%s: the accumulator refuses %s", name, chunk.RawJSON())
				}
			}
			check(t, stream.Err())
			if words := model.Tokens(all.Choices[0].Message.Content); words != 30 || all.Choices[0].FinishReason != "stop" {
				t.Errorf("%s: %d words, finish %q", name, words, all.Choices[0].FinishReason)
			}
			wantEmpty, wantCounted := 0, 0
			if strings.HasPrefix(name, "azure") {
				wantEmpty++ // what the filter thinks of the prompt
			}
			if usage {
				wantEmpty++
				wantCounted++
				if all.Usage.CompletionTokens != 30 || all.Usage.PromptTokens != 7 {
					t.Errorf("%s: usage %+v", name, all.Usage)
				}
			}
			if empty != wantEmpty || counted != wantCounted {
				t.Errorf("%s, usage asked %v: %d chunks without choices and %d with usage, want %d and %d", name, usage, empty, counted, wantEmpty, wantCounted)
			}
		}
	}
}

var addTool = openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
	Name: "add", Parameters: shared.FunctionParameters{
		"type": "object", "properties": map[string]any{"a": map[string]any{"type": "integer"}, "b": map[string]any{"type": "integer"}}, "required": []string{"a", "b"},
	},
})

func multiplyTool() openai.ChatCompletionToolUnionParam {
	tool := *addTool.OfFunction
	tool.Function.Name = "math_multiply"
	return openai.ChatCompletionToolUnionParam{OfFunction: &tool}
}

func TestChatToolsGoRound(t *testing.T) {
	for name, client := range clients(t, model.Options{}) {
		for _, streamed := range []bool{false, true} {
			params := question("Calculate 12 + 30 using the add tool, then multiply 4 * 5 using the multiply tool")
			params.Tools = []openai.ChatCompletionToolUnionParam{addTool, multiplyTool()}
			var message openai.ChatCompletionMessage
			if streamed {
				stream := client.Chat.Completions.NewStreaming(t.Context(), params)
				var all openai.ChatCompletionAccumulator
				for stream.Next() {
					if chunk := stream.Current(); chunk.ID != "" && !all.AddChunk(chunk) {
						t.Fatalf("%s: the accumulator refuses %s", name, chunk.RawJSON())
					}
				}
				check(t, stream.Err())
				message = all.Choices[0].Message
			} else {
				got, err := client.Chat.Completions.New(t.Context(), params)
				check(t, err)
				if got.Choices[0].FinishReason != "tool_calls" {
					t.Errorf("%s: finish %q", name, got.Choices[0].FinishReason)
				}
				message = got.Choices[0].Message
			}
			if len(message.ToolCalls) != 2 || message.ToolCalls[0].Function.Arguments != `{"a":12,"b":30}` || message.ToolCalls[1].Function.Arguments != `{"a":4,"b":5}` {
				t.Fatalf("%s, streamed %v: calls %+v", name, streamed, message.ToolCalls)
			}
			params.Messages = append(params.Messages, message.ToParam(),
				openai.ToolMessage("42", message.ToolCalls[0].ID), openai.ToolMessage("20", message.ToolCalls[1].ID))
			got, err := client.Chat.Completions.New(t.Context(), params)
			check(t, err)
			if text := got.Choices[0].Message.Content; text != "sim in local was told by its tools: 42; 20" {
				t.Errorf("%s: answered %q", name, text)
			}
		}
	}
}

func TestChatSchemaLimitAndStop(t *testing.T) {
	client := clients(t, model.Options{})["openai"]
	params := question(`Give me "Paris" and 2`)
	params.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
		Name: "city", Schema: map[string]any{"type": "object", "required": []string{"name", "size", "tags"}, "$defs": map[string]any{"n": map[string]any{"type": "number"}},
			"properties": map[string]any{"name": map[string]any{"type": "string"}, "size": map[string]any{"$ref": "#/$defs/n"}, "tags": map[string]any{"type": "array", "items": map[string]any{"enum": []string{"big", "small"}}}}},
	}}
	got, err := client.Chat.Completions.New(t.Context(), params)
	check(t, err)
	var city struct {
		Name string
		Size float64
		Tags []string
	}
	check(t, json.Unmarshal([]byte(got.Choices[0].Message.Content), &city))
	if city.Name != "Paris" || city.Size != 2 || len(city.Tags) != 1 || city.Tags[0] != "big" {
		t.Errorf("an instance of the schema: %+v", city)
	}
	params = question("one two three")
	params.MaxCompletionTokens = openai.Int(3)
	got, err = client.Chat.Completions.New(t.Context(), params)
	check(t, err)
	if got.Choices[0].FinishReason != "length" || got.Usage.CompletionTokens != 3 {
		t.Errorf("a limit of 3: %q with %d tokens", got.Choices[0].FinishReason, got.Usage.CompletionTokens)
	}
	params = question("one two three")
	params.Stop.OfString = openai.String(" two")
	got, err = client.Chat.Completions.New(t.Context(), params)
	check(t, err)
	if text := got.Choices[0].Message.Content; text != "sim in local heard: one" {
		t.Errorf("stopped at %q", text)
	}
}

func TestEmbeddingsTellTextsApart(t *testing.T) {
	for name, client := range clients(t, model.Options{}) {
		got, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
			Model: "text-embedding-3-small", Dimensions: openai.Int(64),
			Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"the cat sat", "the cat sat down", "quarterly figures"}},
		})
		check(t, err)
		dot := func(i, j int) (sum float64) {
			for k := range got.Data[i].Embedding {
				sum += got.Data[i].Embedding[k] * got.Data[j].Embedding[k]
			}
			return sum
		}
		if len(got.Data[0].Embedding) != 64 || dot(0, 1) < 0.8 || dot(0, 2) > 0.3 || got.Usage.PromptTokens != 9 {
			t.Errorf("%s: likeness %v and %v, usage %+v", name, dot(0, 1), dot(0, 2), got.Usage)
		}
	}
}

func TestResponses(t *testing.T) {
	for name, client := range clients(t, model.Options{}) {
		first, err := client.Responses.New(t.Context(), responses.ResponseNewParams{
			Model: "gpt-5.4-mini", Instructions: openai.String("be brief"), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hello there")},
		})
		check(t, err)
		if first.OutputText() != "sim in local heard: hello there" || first.Usage.InputTokens != 4 || first.Usage.OutputTokens != 6 {
			t.Errorf("%s: %q, %+v", name, first.OutputText(), first.Usage)
		}
		stream := client.Responses.NewStreaming(t.Context(), responses.ResponseNewParams{
			Model: "gpt-5.4-mini", PreviousResponseID: openai.String(first.ID), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("and now")},
		})
		text, number := "", int64(0)
		var last responses.ResponseStreamEventUnion
		for stream.Next() {
			last = stream.Current()
			if last.SequenceNumber != number {
				t.Errorf("%s: event %d is numbered %d", name, number, last.SequenceNumber)
			}
			number++
			if last.Type == "response.output_text.delta" {
				text += last.Delta
			}
		}
		check(t, stream.Err())
		done := last.AsResponseCompleted().Response
		if last.Type != "response.completed" || text != "sim in local heard: and now" || done.OutputText() != text {
			t.Errorf("%s: %q ended with %q", name, text, last.Type)
		}
		if done.Usage.InputTokens != 4+6+2 {
			t.Errorf("%s: %d tokens in, want the conversation's 12", name, done.Usage.InputTokens)
		}
		_, err = client.Responses.New(t.Context(), responses.ResponseNewParams{
			Model: "gpt-5.4-mini", PreviousResponseID: openai.String("resp_elsewhere"), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("x")},
		})
		var refused *openai.Error
		if !errors.As(err, &refused) || refused.StatusCode != 400 || refused.Code != "previous_response_not_found" {
			t.Errorf("%s: another provider's state was taken: %v", name, err)
		}
	}
}

func TestResponsesTools(t *testing.T) {
	client := clients(t, model.Options{})["openai"]
	params := responses.ResponseNewParams{
		Model: "gpt-5.4-mini", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("add 2 and 3")},
		Tools: []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{Name: "add", Parameters: map[string]any(addTool.OfFunction.Function.Parameters)}}},
	}
	stream := client.Responses.NewStreaming(t.Context(), params)
	arguments := ""
	var last responses.ResponseStreamEventUnion
	for stream.Next() {
		last = stream.Current()
		if last.Type == "response.function_call_arguments.delta" {
			arguments += last.Delta
		}
	}
	check(t, stream.Err())
	response := last.AsResponseCompleted().Response
	if arguments != `{"a":2,"b":3}` || response.Output[0].Name != "add" {
		t.Fatalf("called %+v with %q", response.Output, arguments)
	}
	params.PreviousResponseID = openai.String(response.ID)
	result := responses.ResponseInputItemParamOfFunctionCallOutput("5")
	result.OfFunctionCallOutput.CallID = openai.String(response.Output[0].CallID)
	params.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{result}}
	final, err := client.Responses.New(t.Context(), params)
	check(t, err)
	if final.OutputText() != "sim in local was told by its tools: 5" {
		t.Errorf("answered %q", final.OutputText())
	}
}

func TestModelsAndDeployments(t *testing.T) {
	all := clients(t, model.Options{Models: []string{"gpt-5.4-mini-2026-03-17"}, Deployments: map[string]string{"gpt-5.4-mini": "gpt-5.4-mini-2026-03-17"}})
	page, err := all["openai"].Models.List(t.Context())
	check(t, err)
	if len(page.Data) != 1 || page.Data[0].ID != "gpt-5.4-mini-2026-03-17" {
		t.Errorf("models %+v", page.Data)
	}
	got, err := all["azure dated"].Chat.Completions.New(t.Context(), question("hi"))
	check(t, err)
	if got.Model != "gpt-5.4-mini-2026-03-17" {
		t.Errorf("a deployment answers as %q, want the model behind it", got.Model)
	}
	for name, code := range map[string]string{"openai": "model_not_found", "azure dated": "DeploymentNotFound"} {
		params := question("hi")
		params.Model = "unheard-of"
		_, err := all[name].Chat.Completions.New(t.Context(), params)
		var refused *openai.Error
		if !errors.As(err, &refused) || refused.StatusCode != 404 || refused.Code != code {
			t.Errorf("%s: %v, want 404 %s", name, err, code)
		}
	}
}

func TestWrongCredentials(t *testing.T) {
	_, server := start(t, model.Options{Keys: []string{"secret"}, Bearers: []string{"token"}})
	for _, test := range []struct {
		reason, path, header, value, want string
	}{
		{"openai, wrong key", "/v1/chat/completions", "authorization", "Bearer wrong", `"code":"invalid_api_key"`},
		{"openai, no key", "/v1/chat/completions", "x", "y", `"code":"invalid_api_key"`},
		{"azure, wrong key", "/openai/deployments/d/chat/completions?api-version=2024-10-21", "api-key", "wrong", `"code":"401"`},
		{"azure's dated paths take no key as a bearer", "/openai/deployments/d/chat/completions?api-version=2024-10-21", "authorization", "Bearer secret", `"code":"401"`},
		{"anthropic, a key in the wrong header", "/v1/messages", "api-key", "secret", `"type":"authentication_error"`},
	} {
		request, err := http.NewRequest(http.MethodPost, server.URL+test.path, strings.NewReader(`{}`))
		check(t, err)
		request.Header.Set(test.header, test.value)
		response, err := http.DefaultClient.Do(request)
		check(t, err)
		body := new(strings.Builder)
		response.Write(body)
		response.Body.Close()
		if response.StatusCode != 401 || !strings.Contains(body.String(), test.want) {
			t.Errorf("%s: %d %s", test.reason, response.StatusCode, body)
		}
	}
}
