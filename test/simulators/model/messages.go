package model

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
)

// messages is Anthropic's /v1/messages.
func (x *exchange) messages() {
	if numberOf(x.body["max_tokens"]) < 1 {
		x.fail(http.StatusBadRequest, "", "max_tokens: Field required")
		return
	}
	p, ok := x.messagePrompt()
	if !ok {
		return
	}
	a := x.decide(p)
	thought := x.thought(p)
	a.out += Tokens(thought)
	x.count(a.in, a.out)
	blocks := x.blocks(a, thought)
	message := object{
		"id": "msg_" + x.id, "type": "message", "role": "assistant", "model": x.record.Model, "content": blocks,
		"stop_reason": stopReason(a), "stop_sequence": orNil(a.stopped), "usage": messageUsage(a.in, a.out),
	}
	if x.body["stream"] == true {
		x.messageStream(a, message, blocks)
		return
	}
	if x.refuses() || !x.think(a.out) {
		return
	}
	x.answer(http.StatusOK, message)
}

// thought is what precedes the answer where thinking is enabled.
func (x *exchange) thought(p prompt) string {
	thinking, _ := x.body["thinking"].(object)
	if thinking["type"] != "enabled" && thinking["type"] != "adaptive" {
		return ""
	}
	return "Weighing " + p.user
}

func (x *exchange) blocks(a answer, thought string) []any {
	all := []any{}
	if thought != "" {
		signature := base64.StdEncoding.EncodeToString([]byte(x.sim.options.Name + " signed " + thought))
		all = append(all, object{"type": "thinking", "thinking": thought, "signature": signature})
	}
	for _, c := range a.calls {
		all = append(all, object{"type": "tool_use", "id": "toolu_" + c.id, "name": c.name, "input": json.RawMessage(c.arguments)})
	}
	if len(a.calls) == 0 {
		all = append(all, object{"type": "text", "text": a.text(), "citations": nil})
	}
	return all
}

func stopReason(a answer) string {
	switch {
	case a.reason == "tool_calls":
		return "tool_use"
	case a.reason == "length":
		return "max_tokens"
	case a.stopped != "":
		return "stop_sequence"
	}
	return "end_turn"
}

func messageUsage(in, out int) object {
	return object{"input_tokens": in, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": out, "service_tier": "standard"}
}

// messageStream sends a message block by block. The first events carry no content.
func (x *exchange) messageStream(a answer, message object, blocks []any) {
	begun := maps.Clone(message)
	begun["content"], begun["stop_reason"], begun["stop_sequence"] = []any{}, nil, nil
	begun["usage"] = messageUsage(a.in, 1)
	x.stream()
	x.event("message_start", object{"type": "message_start", "message": begun})
	x.event("ping", object{"type": "ping"})
	for i, block := range blocks {
		one := block.(object)
		x.event("content_block_start", object{"type": "content_block_start", "index": i, "content_block": opened(one)})
		for _, d := range deltas(a, one) {
			if !x.step() {
				return
			}
			x.event("content_block_delta", object{"type": "content_block_delta", "index": i, "delta": d})
		}
		x.event("content_block_stop", object{"type": "content_block_stop", "index": i})
	}
	if !x.close() {
		return
	}
	x.event("message_delta", object{
		"type":  "message_delta",
		"delta": object{"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]},
		"usage": object{"output_tokens": a.out},
	})
	x.event("message_stop", object{"type": "message_stop"})
}

// opened is a block before its deltas.
func opened(block object) object {
	empty := maps.Clone(block)
	switch block["type"] {
	case "text":
		empty["text"] = ""
	case "thinking":
		empty["thinking"], empty["signature"] = "", ""
	case "tool_use":
		empty["input"] = object{}
	}
	return empty
}

// deltas fill an opened block.
func deltas(a answer, block object) []object {
	var all []object
	switch block["type"] {
	case "text":
		for _, piece := range a.pieces {
			all = append(all, object{"type": "text_delta", "text": piece})
		}
	case "thinking":
		for _, piece := range pieces(block["thinking"].(string)) {
			all = append(all, object{"type": "thinking_delta", "thinking": piece})
		}
		all = append(all, object{"type": "signature_delta", "signature": block["signature"]})
	case "tool_use":
		for _, part := range halves(string(block["input"].(json.RawMessage))) {
			all = append(all, object{"type": "input_json_delta", "partial_json": part})
		}
	}
	return all
}

func (x *exchange) countTokens() {
	if p, ok := x.messagePrompt(); ok {
		x.answer(http.StatusOK, object{"input_tokens": p.tokens()})
	}
}

func (x *exchange) messagePrompt() (prompt, bool) {
	messages, ok := x.body["messages"].([]any)
	if !ok || len(messages) == 0 {
		x.fail(http.StatusBadRequest, "", "messages: Field required")
		return prompt{}, false
	}
	p := prompt{choice: "auto", parallel: true, texts: []string{textOf(x.body["system"])}}
	for _, m := range messages {
		message, _ := m.(object)
		p.readBlocks(message)
	}
	tools, _ := x.body["tools"].([]any)
	for _, t := range tools {
		p.offer(t, "input_schema")
	}
	choice, _ := x.body["tool_choice"].(object)
	p.parallel = choice["disable_parallel_tool_use"] != true
	switch choice["type"] {
	case "any":
		p.choice = "required"
	case "none":
		p.choice = "none"
	case "tool":
		p.choice, _ = choice["name"].(string)
	}
	p.limit = int(numberOf(x.body["max_tokens"]))
	p.stops = stringsOf(x.body["stop_sequences"])
	output, _ := x.body["output_config"].(object)
	format, _ := output["format"].(object)
	p.schema = format["schema"]
	return p, true
}

func (p *prompt) readBlocks(message object) {
	text := textOf(message["content"])
	p.texts = append(p.texts, text)
	if message["role"] == "user" && text != "" {
		p.user, p.results = text, nil
	}
	blocks, _ := message["content"].([]any)
	for _, b := range blocks {
		block, _ := b.(object)
		switch block["type"] {
		case "tool_use":
			name, _ := block["name"].(string)
			input, _ := json.Marshal(block["input"])
			p.texts = append(p.texts, name+" "+string(input))
		case "tool_result":
			result := textOf(block["content"])
			p.texts = append(p.texts, result)
			p.results = append(p.results, result)
		}
	}
}
