package model

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// prompt is a request, free of the dialect it came in.
type prompt struct {
	texts    []string // everything that is read, for counting
	user     string   // what the user said last
	results  []string // what tools answered since then
	tools    []tool
	choice   string // "auto", "none", "required", or a tool's name
	parallel bool
	limit    int // tokens to answer with; 0 is no limit
	stops    []string
	schema   any  // of the answer; nil for prose
	json     bool // any JSON object will do
}

type tool struct {
	name   string
	schema any
}

// call is a tool's call.
type call struct {
	id, name, arguments string
}

// answer is what is said to a prompt: calls, or pieces of text.
type answer struct {
	calls   []call
	pieces  []string // their concatenation is the text
	reason  string   // "stop", "length" or "tool_calls"
	stopped string   // the stop sequence that ended it
	in, out int
}

func (a answer) text() string { return strings.Join(a.pieces, "") }

// Tokens counts the words of text: what lies between white space.
func Tokens(text string) int { return len(strings.Fields(text)) }

func (p prompt) tokens() int {
	total := 0
	for _, text := range p.texts {
		total += Tokens(text)
	}
	return total
}

var wanted = regexp.MustCompile(`(?i)\bin (\d{1,5}) words\b`)

// decide answers a prompt. The same prompt always gets the same answer.
func (x *exchange) decide(p prompt) answer {
	a := answer{in: p.tokens(), reason: "stop"}
	if chosen := p.calls(); len(chosen) > 0 {
		source := facts(p.user)
		for i, t := range chosen {
			arguments, _ := json.Marshal(source.instance(t.schema))
			id := fmt.Sprintf("call_%s_%d", x.id, i)
			a.calls = append(a.calls, call{id: id, name: t.name, arguments: string(arguments)})
			a.out += 1 + Tokens(string(arguments))
		}
		a.reason = "tool_calls"
		return a
	}
	text := x.prose(p)
	switch {
	case p.schema != nil:
		raw, _ := json.Marshal(facts(p.user).instance(p.schema))
		text = string(raw)
	case p.json:
		raw, _ := json.Marshal(object{"answer": text})
		text = string(raw)
	}
	for _, stop := range p.stops {
		if before, _, found := strings.Cut(text, stop); found && stop != "" {
			text, a.stopped = before, stop
		}
	}
	a.pieces = pieces(text)
	if p.limit > 0 && len(a.pieces) > p.limit {
		a.pieces, a.reason, a.stopped = a.pieces[:p.limit], "length", ""
	}
	a.out = Tokens(a.text())
	return a
}

// prose is the answer in words: who answers, where, and to what.
func (x *exchange) prose(p prompt) string {
	name, region := x.sim.options.Name, x.sim.options.Region
	text := fmt.Sprintf("%s in %s heard: %s", name, region, strings.Join(strings.Fields(p.user), " "))
	if len(p.results) > 0 {
		text = fmt.Sprintf("%s in %s was told by its tools: %s", name, region, strings.Join(p.results, "; "))
	}
	match := wanted.FindStringSubmatch(p.user)
	if match == nil {
		return text
	}
	n, _ := strconv.Atoi(match[1])
	words := strings.Fields(text)
	for i := len(words); i < n; i++ {
		words = append(words, fmt.Sprintf("word%d", i+1))
	}
	return strings.Join(words[:n], " ")
}

// calls are the tools to call: those that the prompt mentions, unless their
// results are there already, and what the choice demands.
func (p prompt) calls() []tool {
	var mentioned []tool
	for _, t := range p.tools {
		if t.name == p.choice {
			return []tool{t}
		}
		if mentions(p.user, t.name) {
			mentioned = append(mentioned, t)
		}
	}
	switch {
	case p.choice == "none" || len(p.tools) == 0:
		return nil
	case p.choice == "required" && len(mentioned) == 0:
		return p.tools[:1]
	case p.choice != "required" && len(p.results) > 0:
		return nil
	case !p.parallel && len(mentioned) > 1:
		return mentioned[:1]
	}
	return mentioned
}

// mentions looks for the tool's name as a word, or for what follows the prefix
// that a gateway may have put before it.
func mentions(text, name string) bool {
	text = strings.ToLower(text)
	for _, candidate := range []string{name, name[strings.LastIndexAny(name, "_.-")+1:]} {
		found := regexp.MustCompile(`(^|[^a-z0-9])` + regexp.QuoteMeta(strings.ToLower(candidate)) + `($|[^a-z0-9])`)
		if candidate != "" && found.MatchString(text) {
			return true
		}
	}
	return false
}

// pieces cuts text before each word, so that each piece but white space is one token.
func pieces(text string) []string {
	var all []string
	start, inWord := 0, false
	for i, r := range text {
		space := r == ' ' || r == '\n' || r == '\t'
		if space && inWord {
			all = append(all, text[start:i])
			start = i
		}
		inWord = !space
	}
	if start < len(text) {
		all = append(all, text[start:])
	}
	return all
}
