// Package expr compiles and evaluates the CEL expressions that declarations may
// hold: which variables and functions there are, and whether an expression is a
// yes or no. What agentgateway's language has and Nave has not built is refused
// by name when it is compiled, so that no rule is ever judged without what it
// asks about. It never decides what a yes leads to, and knows no request: facts
// come in through the interface Facts.
package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/ext"
)

const (
	// MaxLength is the longest source, bytes; agentgateway's schema has the same.
	MaxLength = 16384
	// MaxCost bounds one evaluation, in CEL's units: roughly one for each step
	// and each ten characters looked at. It is a few milliseconds at worst.
	MaxCost = 100_000
	// maxDepth bounds nesting, for the parser's stack.
	maxDepth = 100
)

// ErrNotBuilt marks an expression that uses a variable or function of
// agentgateway's that is not built.
var ErrNotBuilt = errors.New("not built")

// ErrAbsent is returned where an expression asks for a fact that this request
// does not have.
var ErrAbsent = errors.New("no such fact")

// Facts is what is known of one request. Names are those of Variables, such as
// "request.method".
type Facts interface {
	// Fact returns a string, a bool, an int64, a map[string]string or a
	// map[string]any (as JSON decodes) by the variable's type; false where this
	// request has no such fact.
	Fact(name string) (any, bool)
}

// Program is a compiled expression. It may be used by many goroutines.
type Program struct {
	source  string
	program cel.Program
	uses    []string
}

// Source is the expression as it was written.
func (p Program) Source() string { return p.source }

// Uses tells whether the expression mentions a variable, such as "llm" or "mcp".
func (p Program) Uses(variable string) bool { return slices.Contains(p.uses, variable) }

// environment is made once: it takes a millisecond and is never changed.
var environment, environmentErr = newEnvironment()

func newEnvironment() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserExpressionSizeLimit(MaxLength),
		ext.Strings(), ext.Math(), ext.Encoders(), ext.Network(),
		// Last: the extensions above add their types to the provider beneath.
		func(e *cel.Env) (*cel.Env, error) {
			return cel.CustomTypeProvider(provider{e.CELTypeProvider()})(e)
		},
	}
	for _, v := range roots {
		options = append(options, cel.Variable(v.name, v.celType()))
	}
	return cel.NewEnv(options...)
}

// Compile checks an expression, which must give a bool.
func Compile(source string) (Program, error) {
	p, err := compile(source)
	if err != nil {
		return Program{}, fmt.Errorf("compile %q: %w", shorten(source), err)
	}
	return p, nil
}

func compile(source string) (Program, error) {
	if environmentErr != nil {
		return Program{}, environmentErr
	}
	if source == "" || len(source) > MaxLength {
		return Program{}, fmt.Errorf("%d bytes long: between 1 and %d are allowed", len(source), MaxLength)
	}
	parsed, issues := environment.Parse(source)
	if issues.Err() != nil {
		return Program{}, firstIssue(issues)
	}
	names := namesOf(parsed.NativeRep().Expr())
	if missing := notBuilt(names); missing != "" {
		return Program{}, fmt.Errorf("%s: %w", missing, ErrNotBuilt)
	}
	checked, issues := environment.Check(parsed)
	if issues.Err() != nil {
		return Program{}, firstIssue(issues)
	}
	if out := checked.OutputType(); out != cel.BoolType && out != cel.DynType {
		return Program{}, fmt.Errorf("gives %s: true or false is wanted", out)
	}
	program, err := environment.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(MaxCost))
	if err != nil {
		return Program{}, err
	}
	return Program{source, program, rootsOf(names)}, nil
}

// firstIssue is the first complaint, in one line with its column.
func firstIssue(issues *cel.Issues) error {
	list := issues.Errors()
	if len(list) == 0 {
		return issues.Err()
	}
	e := list[0]
	message := strings.Join(strings.Fields(e.Message), " ")
	return fmt.Errorf("line %d column %d: %s", e.Location.Line(), e.Location.Column()+1, shorten(message))
}

func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Holds evaluates the expression. An error means that it cannot be told; the
// caller decides what that means for its rule.
func (p Program) Holds(f Facts) (bool, error) {
	out, _, err := p.program.Eval(activation{f})
	if err != nil {
		return false, fmt.Errorf("evaluate %q: %w", shorten(p.source), err)
	}
	yes, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("evaluate %q: gives %s, not true or false", shorten(p.source), out.Type().TypeName())
	}
	return yes, nil
}

// name is a variable or function as it is written, such as request.headers.
type name struct {
	text string
	call bool
}

// namesOf lists the dotted names and the calls of an expression; names that a
// comprehension binds are left out.
func namesOf(root ast.Expr) []name {
	var names []name
	bound := map[string]bool{}
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ComprehensionKind:
			c := e.AsComprehension()
			bound[c.IterVar()], bound[c.IterVar2()], bound[c.AccuVar()] = true, true, true
		case ast.CallKind:
			call := e.AsCall()
			text := call.FunctionName()
			if call.IsMemberFunction() {
				if prefix := dotted(call.Target()); prefix != "" {
					names = append(names, name{prefix + "." + text, true})
				}
			}
			names = append(names, name{text, true})
			if text == "_[_]" || text == "_[?_]" {
				names = append(names, name{indexed(call), false})
			}
		case ast.SelectKind, ast.IdentKind:
			names = append(names, name{dotted(e), false})
		}
	}))
	return slices.DeleteFunc(names, func(n name) bool {
		root, _, _ := strings.Cut(n.text, ".")
		return n.text == "" || !n.call && bound[root]
	})
}

// dotted is a.b.c, or "" for what is no plain path.
func dotted(e ast.Expr) string {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent()
	case ast.SelectKind:
		s := e.AsSelect()
		if prefix := dotted(s.Operand()); prefix != "" {
			return prefix + "." + s.FieldName()
		}
	case ast.CallKind:
		if call := e.AsCall(); call.FunctionName() == "_[_]" || call.FunctionName() == "_[?_]" {
			return indexed(call)
		}
	}
	return ""
}

// indexed is a.b for a["b"].
func indexed(call ast.CallExpr) string {
	args := call.Args()
	if len(args) != 2 || args[1].Kind() != ast.LiteralKind {
		return ""
	}
	key, ok := args[1].AsLiteral().Value().(string)
	if prefix := dotted(args[0]); ok && prefix != "" {
		return prefix + "." + key
	}
	return ""
}

func rootsOf(names []name) []string {
	var out []string
	for _, n := range names {
		root, _, _ := strings.Cut(n.text, ".")
		if !n.call && !slices.Contains(out, root) {
			out = append(out, root)
		}
	}
	return out
}
