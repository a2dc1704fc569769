package model

import (
	"fmt"
	"net/http"
	"time"
)

// chat is OpenAI's /chat/completions, and Azure's.
func (x *exchange) chat() {
	messages, ok := x.body["messages"].([]any)
	if !ok || len(messages) == 0 {
		x.fail(http.StatusBadRequest, "invalid_request_error", "Missing required parameter: 'messages'.")
		return
	}
	if n, ok := x.body["n"].(float64); ok && n != 1 {
		x.fail(http.StatusBadRequest, "unsupported_value", "'n' must be 1.")
		return
	}
	a := x.decide(x.chatPrompt(messages))
	x.count(a.in, a.out)
	if x.body["stream"] == true {
		x.chatStream(a)
		return
	}
	if x.refuses() || !x.think(a.out) {
		return
	}
	message := object{"role": "assistant", "content": a.text(), "refusal": nil, "annotations": []any{}}
	if len(a.calls) > 0 {
		message["content"] = nil
		message["tool_calls"] = chatCalls(a.calls, false)
	}
	choice := object{"index": 0, "message": message, "finish_reason": a.reason, "logprobs": nil}
	completion := x.chatObject("chat.completion", choice)
	completion["usage"] = chatUsage(a)
	if x.onAzure() {
		choice["content_filter_results"] = clean()
		completion["prompt_filter_results"] = []any{object{"prompt_index": 0, "content_filter_results": clean()}}
	}
	x.answer(http.StatusOK, completion)
}

// chatStream sends the chunks in the order in which OpenAI does: role, deltas,
// finish_reason, and the usage only if it was asked for. Azure says before it all
// what its filter thinks of the prompt.
func (x *exchange) chatStream(a answer) {
	options, _ := x.body["stream_options"].(object)
	usage := options["include_usage"] == true
	send := func(choices ...any) {
		chunk := x.chatObject("chat.completion.chunk", choices...)
		if usage {
			chunk["usage"] = nil
		}
		x.event("", chunk)
	}
	delta := func(d object, reason any) {
		send(object{"index": 0, "delta": d, "finish_reason": reason, "logprobs": nil})
	}
	x.stream()
	if x.onAzure() {
		x.event("", object{
			"id": "", "object": "", "created": 0, "model": "", "choices": []any{},
			"prompt_filter_results": []any{object{"prompt_index": 0, "content_filter_results": clean()}},
		})
	}
	delta(object{"role": "assistant", "content": "", "refusal": nil}, nil)
	for i, c := range chatCalls(a.calls, true) {
		if !x.step() {
			return
		}
		delta(object{"tool_calls": []any{c}}, nil)
		for _, part := range halves(a.calls[i].arguments) {
			if !x.step() {
				return
			}
			delta(object{"tool_calls": []any{object{"index": i, "function": object{"arguments": part}}}}, nil)
		}
	}
	for _, piece := range a.pieces {
		if !x.step() {
			return
		}
		delta(object{"content": piece}, nil)
	}
	if !x.close() {
		return
	}
	delta(object{}, a.reason)
	if usage {
		chunk := x.chatObject("chat.completion.chunk")
		chunk["usage"] = chatUsage(a)
		x.event("", chunk)
	}
	fmt.Fprint(x.w, "data: [DONE]\n\n")
}

func (x *exchange) onAzure() bool { return x.dialect == azure || x.dialect == azureDated }

func (x *exchange) chatObject(kind string, choices ...any) object {
	if choices == nil {
		choices = []any{}
	}
	return object{
		"id": "chatcmpl-" + x.id, "object": kind, "created": time.Now().Unix(), "model": x.record.Model,
		"choices": choices, "system_fingerprint": "fp_" + x.sim.options.Name, "service_tier": "default",
	}
}

func chatUsage(a answer) object {
	return object{
		"prompt_tokens": a.in, "completion_tokens": a.out, "total_tokens": a.in + a.out,
		"prompt_tokens_details":     object{"cached_tokens": 0, "audio_tokens": 0},
		"completion_tokens_details": object{"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
	}
}

// chatCalls are the calls as a message has them, or as the first delta of each.
func chatCalls(calls []call, opening bool) []any {
	all := []any{}
	for i, c := range calls {
		one := object{"id": c.id, "type": "function", "function": object{"name": c.name, "arguments": c.arguments}}
		if opening {
			one["index"] = i
			one["function"] = object{"name": c.name, "arguments": ""}
		}
		all = append(all, one)
	}
	return all
}

func halves(s string) []string { return []string{s[:len(s)/2], s[len(s)/2:]} }

func clean() object {
	verdict := object{}
	for _, kind := range []string{"hate", "self_harm", "sexual", "violence"} {
		verdict[kind] = object{"filtered": false, "severity": "safe"}
	}
	return verdict
}

func (x *exchange) chatPrompt(messages []any) prompt {
	p := prompt{choice: "auto", parallel: x.body["parallel_tool_calls"] != false}
	for _, m := range messages {
		message, _ := m.(object)
		text := textOf(message["content"])
		p.texts = append(p.texts, text)
		switch message["role"] {
		case "user":
			p.user, p.results = text, nil
		case "tool", "function":
			p.results = append(p.results, text)
		case "assistant":
			calls, _ := message["tool_calls"].([]any)
			for _, c := range calls {
				one, _ := c.(object)
				p.texts = append(p.texts, functionText(one["function"]))
			}
		}
	}
	tools, _ := x.body["tools"].([]any)
	for _, t := range tools {
		one, _ := t.(object)
		p.offer(one["function"], "parameters")
	}
	p.choose(x.body["tool_choice"])
	p.limit = int(max(numberOf(x.body["max_tokens"]), numberOf(x.body["max_completion_tokens"])))
	p.stops = stringsOf(x.body["stop"])
	format, _ := x.body["response_format"].(object)
	inner, _ := format["json_schema"].(object)
	p.schema = inner["schema"]
	p.json = format["type"] == "json_object"
	return p
}

// offer adds a tool; its name and description are read like any text.
func (p *prompt) offer(t any, schemaKey string) {
	o, _ := t.(object)
	name, _ := o["name"].(string)
	if name == "" {
		return
	}
	description, _ := o["description"].(string)
	p.texts = append(p.texts, name, description)
	p.tools = append(p.tools, tool{name: name, schema: o[schemaKey]})
}

// choose reads OpenAI's tool_choice, of either API.
func (p *prompt) choose(choice any) {
	switch c := choice.(type) {
	case string:
		p.choice = c
	case object:
		inner, _ := c["function"].(object)
		for _, name := range []any{inner["name"], c["name"]} {
			if s, ok := name.(string); ok {
				p.choice = s
			}
		}
	}
}

// textOf is the text of a message's content, a string or parts of it.
func textOf(content any) string {
	switch c := content.(type) {
	case string:
		return c
	case []any:
		text := ""
		for _, part := range c {
			one, _ := part.(object)
			s, _ := one["text"].(string)
			if text != "" && s != "" {
				text += "\n"
			}
			text += s
		}
		return text
	}
	return ""
}

func functionText(f any) string {
	o, _ := f.(object)
	name, _ := o["name"].(string)
	arguments, _ := o["arguments"].(string)
	return name + " " + arguments
}

func numberOf(v any) float64 {
	f, _ := v.(float64)
	return f
}

func stringsOf(v any) []string {
	switch s := v.(type) {
	case string:
		return []string{s}
	case []any:
		var all []string
		for _, one := range s {
			if text, ok := one.(string); ok {
				all = append(all, text)
			}
		}
		return all
	}
	return nil
}
