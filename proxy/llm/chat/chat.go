// Package chat holds a conversation with a model, its answer, the pieces of a
// streamed answer and the ways it can fail, free of any provider's wire format.
// It carries these values and names features and failures; it never encodes,
// decodes or sends anything.
package chat

import "github.com/navehq/nave/proxy/llm/usage"

// Role says who speaks. A tool's result is spoken by RoleTool.
type Role string

// The roles. OpenAI's "developer" is RoleSystem.
const (
	RoleSystem    Role = "system"
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"
)

// Request is one call of a model. Pointers are nil where the client said nothing.
type Request struct {
	Model         string
	Messages      []Message
	Tools         []Tool
	Choice        ToolChoice
	ParallelTools *bool
	Format        Format
	MaxTokens     *int64
	Stop          []string
	Sampling      Sampling
	Stream        bool
	User          string
	// Unknown are the other top-level fields, as they came and in their order:
	// parameters that no other dialect shares, and vendors' own.
	Unknown []Field
}

// Sampling is how the next token is drawn.
type Sampling struct {
	Temperature *float64 // 0 to 2
	TopP        *float64 // 0 to 1
}

// Field is a member of a JSON object that is passed on without being read.
type Field struct {
	Name string
	Raw  []byte // its value's JSON
}

// Message is one turn.
type Message struct {
	Role  Role
	Name  string
	Parts []Part
}

// PartKind says which fields of a Part count.
type PartKind uint8

// The kinds of part, with the fields each uses.
const (
	Text       PartKind = iota // Text
	Refusal                    // Text
	Thinking                   // Text, Signature
	Image                      // URL, or MediaType and Data
	File                       // MediaType and Data, Name
	ToolUse                    // ID, Name, Input
	ToolResult                 // ID, Text, Failed
)

// Part is a piece of a message.
type Part struct {
	Kind      PartKind
	Text      string
	Signature string
	URL       string
	MediaType string
	Data      string // base64
	ID        string
	Name      string
	Input     []byte // a JSON object
	Failed    bool
	// Cache is the JSON of a cache marker (cache_control) on this part, or nil.
	Cache []byte
}

// Tool is a function that the model may ask for.
type Tool struct {
	Name        string
	Description string
	Schema      []byte // JSON schema of its arguments; nil for none
	Strict      bool
}

// ChoiceMode says whether the model calls tools.
type ChoiceMode uint8

// The modes: as the client said nothing, as the model likes, never, at least
// one, and the named one.
const (
	ChoiceUnset ChoiceMode = iota
	ChoiceAuto
	ChoiceNone
	ChoiceRequired
	ChoiceNamed
)

// ToolChoice is a mode, with the tool's name for ChoiceNamed.
type ToolChoice struct {
	Mode ChoiceMode
	Name string
}

// FormatKind says what form the answer must have.
type FormatKind uint8

// The forms: text, any JSON object, and JSON by a schema.
const (
	FormatText FormatKind = iota
	FormatObject
	FormatSchema
)

// Format is the form of the answer; the rest counts for FormatSchema.
type Format struct {
	Kind        FormatKind
	Name        string
	Description string
	Schema      []byte
	Strict      bool
}

// Finish says why an answer ended; empty while it has not.
type Finish string

// The reasons, in OpenAI's words.
const (
	FinishStop   Finish = "stop"
	FinishLength Finish = "length"
	FinishTools  Finish = "tool_calls"
	FinishFilter Finish = "content_filter"
)

// Response is a whole answer.
type Response struct {
	ID     string
	Model  string
	Parts  []Part
	Finish Finish
	Usage  usage.Tokens
}

// ChunkKind says what a Chunk brings.
type ChunkKind uint8

// The kinds of chunk, with the fields each uses.
const (
	ChunkStart     ChunkKind = iota // ID, Model: the answer begins
	ChunkText                       // Text
	ChunkRefusal                    // Text
	ChunkThinking                   // Text
	ChunkTool                       // Tool, ID, Name: a tool's call begins
	ChunkToolInput                  // Tool, Text: more of its arguments
	ChunkFinish                     // Finish
	ChunkEnd                        // Usage: nothing follows
)

// Chunk is a piece of a streamed answer.
type Chunk struct {
	Kind ChunkKind
	// Text is the inside of a JSON string, still escaped, so that it goes from
	// one dialect's event into another's without being decoded.
	Text   []byte
	ID     string
	Model  string
	Name   string
	Tool   int // counts the answer's tool calls from 0
	Finish Finish
	Usage  usage.Tokens
}

// Meaningful tells whether the model itself says something in this chunk: text,
// refusal, thought or a call, and not only that it begins or ends.
func (c *Chunk) Meaningful() bool {
	switch c.Kind {
	case ChunkText, ChunkRefusal, ChunkThinking, ChunkToolInput:
		return len(c.Text) > 0
	case ChunkTool:
		return true
	}
	return false
}
