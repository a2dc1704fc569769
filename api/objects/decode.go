package objects

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/navehq/nave/api/schema"
)

// Limits of what Decode reads.
const (
	MaxFile      = 16 << 20 // bytes
	MaxDocument  = 3 << 20  // bytes
	MaxDocuments = 10_000   // in one file, list items included
	MaxDepth     = 64       // maps and lists within each other
)

// Reasons of the problems that Decode finds.
const (
	ReasonSyntax       = "SyntaxError"
	ReasonTooLarge     = "TooLarge"
	ReasonUnknownField = "UnknownField"
	ReasonInvalidValue = "InvalidValue"
	// ReasonNotAllowed: the value is of its type, and the kind's schema has a rule
	// against it.
	ReasonNotAllowed  = "NotAllowed"
	ReasonUnknownKind = "UnknownKind"
	ReasonNotRunHere  = "NotRunHere"
	ReasonDuplicate   = "Duplicate"
	ReasonMissingEnv  = "MissingVariable"
)

// Options say how documents are read.
type Options struct {
	// Cluster is set on every object and problem.
	Cluster string
	// Env gives the environment's variables to $VAR in Secrets; nil leaves
	// Secrets as they stand.
	Env func(name string) (string, bool)
	// Schemas judges objects as an API server would; nil where one has.
	Schemas *schema.Checker
}

// document is one document of a file.
type document struct {
	// file is path:line, where it begins; line counts from 1.
	path string
	line int
	data []byte
}

func (d document) at() string {
	if d.path == "" {
		return ""
	}
	return d.path + ":" + strconv.Itoa(d.line)
}

// Decode reads the objects of a file of YAML documents. What cannot be read is
// named by a problem, and the rest is read all the same. An object with an
// unknown field or a value of a wrong type is returned with what is wrong in
// its Invalid, besides the problems. Generation, Created and UID are the
// caller's to set.
func Decode(file string, data []byte, o Options) ([]*Object, []Problem) {
	d := &decoder{options: o}
	if len(data) > MaxFile {
		d.problem(document{path: file, line: 1}, ReasonTooLarge, "", fmt.Sprintf("the file has %d bytes, %d are allowed", len(data), MaxFile), "split it")
		return nil, d.problems
	}
	for i, doc := range split(file, data) {
		if i >= MaxDocuments {
			d.problem(doc, ReasonTooLarge, "", fmt.Sprintf("there are more than %d documents", MaxDocuments), "split the file")
			break
		}
		d.document(doc)
	}
	list, more := Unique(d.objects)
	return list, append(d.problems, more...)
}

// Unique leaves out objects that an earlier one of the list already declares,
// and names both files.
func Unique(list []*Object) ([]*Object, []Problem) {
	first := make(map[Key]*Object, len(list))
	var kept []*Object
	var problems []Problem
	for _, o := range list {
		if old := first[o.Key]; old != nil {
			problems = append(problems, Problem{
				Cluster: o.Cluster, File: o.File, Object: o.Key.String(), Reason: ReasonDuplicate,
				Message: fmt.Sprintf("is declared in %s already, which counts", old.File),
				Remedy:  "remove one of the two",
			})
			continue
		}
		first[o.Key] = o
		kept = append(kept, o)
	}
	return kept, problems
}

// split cuts a file at its document marks and leaves out what is blank.
func split(path string, data []byte) []document {
	var docs []document
	start, line, begin := 0, 1, 1
	flush := func(end int) {
		if body := data[start:end]; !blank(body) {
			docs = append(docs, document{path, begin, body})
		}
	}
	for at := 0; at < len(data); line++ {
		end := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		text := data[at:end]
		if mark(text, "---") || mark(text, "...") {
			flush(at)
			start, begin = end, line+1
		}
		at = end
	}
	flush(len(data))
	return docs
}

// mark tells whether a line is a document mark, perhaps with a comment.
func mark(line []byte, text string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(text))
	if !ok {
		return false
	}
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return len(rest) == 0 || len(rest) < len(line)-len(text) && rest[0] == '#'
}

// blank tells whether there is nothing but comments and white space.
func blank(doc []byte) bool {
	for line := range bytes.Lines(doc) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

type decoder struct {
	options  Options
	objects  []*Object
	problems []Problem
}

func (d *decoder) problem(doc document, reason, object, message, remedy string) {
	d.problems = append(d.problems, Problem{
		Cluster: d.options.Cluster, File: doc.at(), Object: object, Reason: reason, Message: message, Remedy: remedy,
	})
}

func (d *decoder) document(doc document) {
	if len(doc.data) > MaxDocument {
		d.problem(doc, ReasonTooLarge, guess(doc.data), fmt.Sprintf("the document has %d bytes, %d are allowed", len(doc.data), MaxDocument), "make it smaller")
		return
	}
	raw, err := yaml.YAMLToJSONStrict(doc.data)
	if err != nil {
		at, message := locate(doc, err)
		d.problem(at, ReasonSyntax, guess(doc.data), "is not YAML: "+message, "mend the line that is named")
		return
	}
	d.read(doc, raw)
}

var lineNumber = regexp.MustCompile(`line (\d+): ?`)

// locate turns a parser's line within the document into one of the file.
func locate(doc document, err error) (document, string) {
	message := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "), "yaml: ")
	message = strings.Join(strings.Fields(strings.TrimPrefix(message, "unmarshal errors:")), " ")
	if m := lineNumber.FindStringSubmatchIndex(message); m != nil {
		if n, err := strconv.Atoi(message[m[2]:m[3]]); err == nil && n > 0 {
			doc.line += n - 1
			message = message[:m[0]] + message[m[1]:]
		}
	}
	return doc, message
}

var (
	kindLine = regexp.MustCompile(`(?m)^kind:\s*([A-Za-z]+)\s*$`)
	nameLine = regexp.MustCompile(`(?m)^\s+name:\s*([-a-z0-9.]+)\s*$`)
	spaceAt  = regexp.MustCompile(`(?m)^\s+namespace:\s*([-a-z0-9]+)\s*$`)
)

// guess names the object of a document that cannot be parsed, for people.
func guess(doc []byte) string {
	k := kindLine.FindSubmatch(doc)
	if k == nil {
		return ""
	}
	key := Key{Kind: string(k[1])}
	if n := nameLine.FindSubmatch(doc); n != nil {
		key.Name = string(n[1])
	}
	if n := spaceAt.FindSubmatch(doc); n != nil {
		key.Namespace = string(n[1])
	}
	return key.String()
}
