package schema

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/ext"
	"k8s.io/apimachinery/pkg/api/resource"
)

// maxCost bounds one rule's evaluation, in CEL's units; an API server has the same.
const maxCost = 1_000_000

// rules asks the rules of a value in its shape, those of what it holds first.
func (w *walk) rules(number int, v any, path string) {
	n := &w.nodes[number]
	switch v := v.(type) {
	case []any:
		for i, x := range v {
			if n.Items != nil {
				w.rules(*n.Items, x, fmt.Sprintf("%s[%d]", path, i))
			}
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if below, known := n.Properties[plain(name)]; known {
				w.rules(below, v[name], Join(path, plain(name)))
			} else if n.Values != nil {
				w.rules(*n.Values, v[name], Join(path, name))
			}
		}
	}
	for _, r := range n.Rules {
		w.ask(r, v, path)
	}
}

// ask evaluates one rule. Those of changes are none of a document's.
func (w *walk) ask(r rule, v any, path string) {
	if strings.Contains(r.Rule, "oldSelf") {
		return
	}
	program, err := w.program(r.Rule)
	if err != nil {
		w.fault(path, "report this as a fault of Nave's", "rule %q: %v", r.Rule, err)
		return
	}
	out, _, err := program.Eval(map[string]any{"self": v})
	if err == nil && out.Value() == true {
		return
	}
	if path == "" {
		path = "metadata.name" // all that a rule for a whole object can speak of
	}
	message := r.Message
	if message == "" {
		message = "does not hold: " + r.Rule
	}
	w.fault(path, "change it so that this holds", "%s", strings.TrimSuffix(message, "."))
}

func (c *Checker) program(source string) (cel.Program, error) {
	if p := c.programs[source]; p != nil {
		return p, nil
	}
	if c.language == nil {
		language, err := newLanguage()
		if err != nil {
			return nil, err
		}
		c.language = language
	}
	checked, issues := c.language.Compile(source)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	p, err := c.language.Program(checked, cel.CostLimit(maxCost))
	if err != nil {
		return nil, err
	}
	c.programs[source] = p
	return p, nil
}

// newLanguage has what the rules of the CRDs use of an API server's language. A
// quantity is a number in it.
func newLanguage() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("self", cel.DynType), ext.Strings(), cel.CrossTypeNumericComparisons(true),
		cel.Function("isCIDR", cel.Overload("is_cidr", []*cel.Type{cel.StringType}, cel.BoolType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			_, err := netip.ParsePrefix(v.Value().(string))
			return types.Bool(err == nil)
		}))),
		cel.Function("isSorted", cel.MemberOverload("is_sorted", []*cel.Type{cel.ListType(cel.DynType)}, cel.BoolType, cel.UnaryBinding(isSorted))),
		cel.Function("isQuantity", cel.Overload("is_quantity", []*cel.Type{cel.StringType}, cel.BoolType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			_, err := resource.ParseQuantity(v.Value().(string))
			return types.Bool(err == nil)
		}))),
		cel.Function("quantity", cel.Overload("quantity", []*cel.Type{cel.StringType}, cel.DoubleType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			q, err := resource.ParseQuantity(v.Value().(string))
			if err != nil {
				return types.WrapErr(err)
			}
			return types.Double(q.AsApproximateFloat64())
		}))),
		cel.Function("compareTo", cel.MemberOverload("compare_quantities", []*cel.Type{cel.DoubleType, cel.DoubleType}, cel.IntType,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val { return a.(types.Double).Compare(b) }))),
	)
}

func isSorted(list ref.Val) ref.Val {
	values := list.(traits.Lister)
	n := values.Size().(types.Int)
	for i := types.Int(1); i < n; i++ {
		before, ok := values.Get(i - 1).(traits.Comparer)
		if !ok {
			return types.NewErr("items have no order")
		}
		if before.Compare(values.Get(i)) == types.IntOne {
			return types.False
		}
	}
	return types.True
}
