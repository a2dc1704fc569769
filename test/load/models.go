package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// question is what the agents ask.
const question = "In one short paragraph, what should somebody know who is going to run language model and tool gateways in several regions, and wants none of their agents to notice the loss of one?"

// models is an agent's way to models: the official SDK, without its retries.
type models struct{ client openai.Client }

func newModels(hosts []string, path string) *models {
	return &models{openai.NewClient(
		option.WithBaseURL("http://models"+path), option.WithAPIKey("the-gateway-has-its-own"),
		option.WithMaxRetries(0), option.WithHTTPClient(&http.Client{Transport: newSpread(hosts)}),
	)}
}

func asked() openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model: "gpt-5.4-mini", MaxCompletionTokens: openai.Int(100),
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(question)},
	}
}

// together is how many requests must be served at home at once before the
// traffic begins: every proxy then reaches it, and none is still returning to it.
const together = 16

// ErrElsewhere is said where another cluster serves than the one that should.
var ErrElsewhere = errors.New("another cluster serves")

// warm waits until a cluster serves.
func (m *models) warm(ctx context.Context, home string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var last error
	for {
		answers := make(chan error, together)
		for range together {
			go func() { answers <- m.there(ctx, home) }()
		}
		served := true
		for range together {
			if err := <-answers; err != nil {
				if served = false; last == nil || ctx.Err() == nil {
					last = err
				}
			}
		}
		if served {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the models to serve: %w", last)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// there tells whether a cluster serves a request.
func (m *models) there(ctx context.Context, home string) error {
	seen := &sighting{}
	_, err := m.chat(context.WithValue(ctx, sightingKey{}, seen))
	if err == nil {
		err = elsewhere(seen.cluster(), home)
	}
	return err
}

// elsewhere says so where another cluster served than the one that should.
func elsewhere(by, home string) error {
	if home == "" || by == home {
		return nil
	}
	return fmt.Errorf("%w: %q, not %s", ErrElsewhere, by, home)
}

func (m *models) chat(ctx context.Context) (Fate, error) {
	answer, err := m.client.Chat.Completions.New(ctx, asked())
	if err != nil {
		return Lost, err
	}
	if len(answer.Choices) == 0 || answer.Choices[0].Message.Content == "" {
		return Lost, errors.New("the answer is empty")
	}
	return Served, nil
}

// truncated is the code by which the gateway says that a stream broke off.
const truncated = "stream_truncated"

func (m *models) stream(ctx context.Context) (Fate, error) {
	s := m.client.Chat.Completions.NewStreaming(ctx, asked())
	defer s.Close()
	begun, finished := false, false
	for s.Next() {
		for _, c := range s.Current().Choices {
			begun = begun || c.Delta.Content != ""
			finished = finished || c.FinishReason != ""
		}
	}
	switch err := s.Err(); {
	case err != nil && begun && strings.Contains(err.Error(), truncated):
		return Cut, err
	case err != nil:
		return Lost, err
	case !finished:
		return Lost, errors.New("the stream ended early and did not say so")
	}
	return Served, nil
}
