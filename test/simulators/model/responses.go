package model

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

// keptResponses bounds what the Responses API remembers.
const keptResponses = 1024

// stored is a response that later ones may continue.
type stored struct {
	response object
	texts    []string // the conversation so far, its answer included
}

// respond is OpenAI's /responses, and Azure's.
func (x *exchange) respond() {
	p, ok := x.responsePrompt()
	if !ok {
		return
	}
	a := x.decide(p)
	x.count(a.in, a.out)
	streamed := x.body["stream"] == true
	if !streamed && (x.refuses() || !x.think(a.out)) {
		return
	}
	response := x.response(a)
	if x.body["store"] != false {
		spoken := a.text()
		for _, c := range a.calls {
			spoken += " " + c.name + " " + c.arguments
		}
		x.sim.store(response, append(p.texts, spoken))
	}
	if streamed {
		x.responseStream(a, response)
		return
	}
	x.answer(http.StatusOK, response)
}

func (s *Simulator) store(response object, texts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := response["id"].(string)
	s.responses[id] = stored{response: response, texts: texts}
	s.order = append(s.order, id)
	if len(s.order) > keptResponses {
		delete(s.responses, s.order[0])
		s.order = s.order[1:]
	}
}

func (s *Simulator) recall(id string) (stored, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.responses[id]
	return found, ok
}

// response is the finished response that holds a.
func (x *exchange) response(a answer) object {
	r := object{
		"id": "resp_" + x.id, "object": "response", "created_at": time.Now().Unix(), "status": "completed", "background": false,
		"model": x.record.Model, "output": x.items(a), "error": nil, "incomplete_details": nil,
		"instructions": x.body["instructions"], "previous_response_id": x.body["previous_response_id"],
		"parallel_tool_calls": x.body["parallel_tool_calls"] != false, "tools": []any{}, "tool_choice": "auto",
		"temperature": 1, "top_p": 1, "truncation": "disabled", "metadata": object{},
		"text": object{"format": object{"type": "text"}}, "store": x.body["store"] != false,
		"usage": object{
			"input_tokens": a.in, "input_tokens_details": object{"cached_tokens": 0},
			"output_tokens": a.out, "output_tokens_details": object{"reasoning_tokens": 0}, "total_tokens": a.in + a.out,
		},
	}
	for _, echoed := range []string{"tools", "tool_choice", "temperature", "top_p", "metadata", "text"} {
		if v := x.body[echoed]; v != nil {
			r[echoed] = v
		}
	}
	if a.reason == "length" {
		r["status"], r["incomplete_details"] = "incomplete", object{"reason": "max_output_tokens"}
	}
	return r
}

// items are the output: calls, or one message.
func (x *exchange) items(a answer) []any {
	all := []any{}
	for i, c := range a.calls {
		all = append(all, object{
			"type": "function_call", "id": fmt.Sprintf("fc_%s_%d", x.id, i), "call_id": c.id,
			"name": c.name, "arguments": c.arguments, "status": "completed",
		})
	}
	if len(a.calls) == 0 {
		all = append(all, object{
			"type": "message", "id": "msg_" + x.id, "role": "assistant", "status": "completed",
			"content": []any{textPart(a.text())},
		})
	}
	return all
}

func textPart(text string) object {
	return object{"type": "output_text", "text": text, "annotations": []any{}, "logprobs": []any{}}
}

// responseStream sends the events of a response in order, numbered.
func (x *exchange) responseStream(a answer, response object) {
	numbered := 0
	send := func(kind string, fields object) {
		fields["type"], fields["sequence_number"] = kind, numbered
		numbered++
		x.event(kind, fields)
	}
	begun := maps.Clone(response)
	begun["status"], begun["output"], begun["usage"], begun["incomplete_details"] = "in_progress", []any{}, nil, nil
	x.stream()
	send("response.created", object{"response": begun})
	send("response.in_progress", object{"response": begun})
	for i, item := range response["output"].([]any) {
		one := item.(object)
		opening := maps.Clone(one)
		opening["status"] = "in_progress"
		var whole bool
		if one["type"] == "message" {
			opening["content"] = []any{}
			send("response.output_item.added", object{"output_index": i, "item": opening})
			whole = x.streamText(a, one["id"].(string), send)
		} else {
			opening["arguments"] = ""
			send("response.output_item.added", object{"output_index": i, "item": opening})
			whole = x.streamArguments(i, one, send)
		}
		if !whole {
			return
		}
		send("response.output_item.done", object{"output_index": i, "item": one})
	}
	if x.close() {
		send("response."+response["status"].(string), object{"response": response})
	}
}

func (x *exchange) streamText(a answer, id string, send func(string, object)) bool {
	at := func(more object) object {
		maps.Copy(more, object{"item_id": id, "output_index": 0, "content_index": 0})
		return more
	}
	send("response.content_part.added", at(object{"part": textPart("")}))
	for _, piece := range a.pieces {
		if !x.step() {
			return false
		}
		send("response.output_text.delta", at(object{"delta": piece, "logprobs": []any{}}))
	}
	send("response.output_text.done", at(object{"text": a.text(), "logprobs": []any{}}))
	send("response.content_part.done", at(object{"part": textPart(a.text())}))
	return true
}

func (x *exchange) streamArguments(i int, item object, send func(string, object)) bool {
	arguments := item["arguments"].(string)
	for _, part := range halves(arguments) {
		if !x.step() {
			return false
		}
		send("response.function_call_arguments.delta", object{"item_id": item["id"], "output_index": i, "delta": part})
	}
	send("response.function_call_arguments.done", object{"item_id": item["id"], "output_index": i, "name": item["name"], "arguments": arguments})
	return true
}

// responding says whether the request is to the Responses API.
func (x *exchange) responding() bool { return strings.HasSuffix(x.r.URL.Path, "/responses") }

// responsePrompt reads the request, and the conversation that it continues.
func (x *exchange) responsePrompt() (prompt, bool) {
	p := prompt{choice: "auto", parallel: x.body["parallel_tool_calls"] != false}
	if previous, _ := x.body["previous_response_id"].(string); previous != "" {
		found, ok := x.sim.recall(previous)
		if !ok {
			x.fail(http.StatusBadRequest, "previous_response_not_found", fmt.Sprintf("Previous response with id '%s' not found.", previous))
			return p, false
		}
		p.texts = append(p.texts, found.texts...)
	}
	if instructions, ok := x.body["instructions"].(string); ok {
		p.texts = append(p.texts, instructions)
	}
	switch input := x.body["input"].(type) {
	case string:
		p.texts, p.user = append(p.texts, input), input
	case []any:
		for _, item := range input {
			p.readItem(item)
		}
	default:
		x.fail(http.StatusBadRequest, "missing_required_parameter", "Missing required parameter: 'input'.")
		return p, false
	}
	tools, _ := x.body["tools"].([]any)
	for _, t := range tools {
		p.offer(t, "parameters")
	}
	p.choose(x.body["tool_choice"])
	p.limit = int(numberOf(x.body["max_output_tokens"]))
	text, _ := x.body["text"].(object)
	format, _ := text["format"].(object)
	p.schema = format["schema"]
	p.json = format["type"] == "json_object"
	return p, true
}

func (p *prompt) readItem(item any) {
	one, _ := item.(object)
	switch one["type"] {
	case "function_call":
		p.texts = append(p.texts, functionText(one))
	case "function_call_output":
		output := textOf(one["output"])
		p.texts = append(p.texts, output)
		p.results = append(p.results, output)
	default:
		text := textOf(one["content"])
		p.texts = append(p.texts, text)
		if one["role"] == "user" {
			p.user, p.results = text, nil
		}
	}
}

func (x *exchange) inputTokens() {
	if p, ok := x.responsePrompt(); ok {
		x.answer(http.StatusOK, object{"object": "response.input_tokens", "input_tokens": p.tokens()})
	}
}

func (x *exchange) storedResponse() {
	if found, ok := x.sim.recall(x.r.PathValue("id")); ok {
		x.answer(http.StatusOK, found.response)
		return
	}
	x.unknownResponse()
}

func (x *exchange) deleteResponse() {
	id := x.r.PathValue("id")
	if _, ok := x.sim.recall(id); !ok {
		x.unknownResponse()
		return
	}
	x.sim.mu.Lock()
	delete(x.sim.responses, id)
	x.sim.mu.Unlock()
	x.answer(http.StatusOK, object{"id": id, "object": "response", "deleted": true})
}

func (x *exchange) unknownResponse() {
	x.fail(http.StatusNotFound, "not_found", fmt.Sprintf("Response with id '%s' not found.", x.r.PathValue("id")))
}
