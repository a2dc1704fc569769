// Package authorization decides by CEL expressions whether a request may go on.
// It knows the order in which actions count and what a failing expression
// means; it never knows who the client is but by the facts it is given.
package authorization

import (
	"fmt"

	"github.com/navehq/nave/api/expr"
	"github.com/navehq/nave/api/table"
)

// Rules are the compiled sets of one place, of all levels together.
type Rules struct {
	deny, require, allow []expr.Program
	// restricts is set where any Allow set exists, empty or not: then one must hold.
	restricts bool
}

// Compile compiles every expression; one that does not compile is an error,
// because a set that is only partly built must close what it protects.
func Compile(sets []*table.Authorization) (*Rules, error) {
	r := &Rules{}
	for _, set := range sets {
		for _, source := range set.Expressions {
			p, err := expr.Compile(source)
			if err != nil {
				return nil, fmt.Errorf("compiling an authorization: %w", err)
			}
			switch set.Action {
			case table.Deny:
				r.deny = append(r.deny, p)
			case table.Require:
				r.require = append(r.require, p)
			case table.Allow, "":
				r.allow = append(r.allow, p)
			default:
				return nil, fmt.Errorf("compiling an authorization: action %q is unknown", set.Action)
			}
		}
		r.restricts = r.restricts || set.Action == table.Allow || set.Action == ""
	}
	return r, nil
}

// Verdict is what the rules say with the facts at hand.
type Verdict struct {
	Denied bool
	// Pending is set where nothing denies so far, but an expression waits for
	// facts that only the request's body tells: it must be judged again.
	Pending bool
	// Reason is for the log, never for the client: it quotes the policy.
	Reason string
}

// Judge decides: any Deny that holds denies; every Require must hold; where any
// Allow exists, one must. An expression that cannot be evaluated does not hold.
// later tells which expressions ask for facts that are still to come; nil for none.
func (r *Rules) Judge(f expr.Facts, later func(expr.Program) bool) Verdict {
	var v Verdict
	wait := func(p expr.Program) bool {
		waits := later != nil && later(p)
		v.Pending = v.Pending || waits
		return waits
	}
	for _, p := range r.deny {
		if !wait(p) && holds(p, f) {
			return denied("deny expression %q holds", p)
		}
	}
	for _, p := range r.require {
		if !wait(p) && !holds(p, f) {
			return denied("require expression %q does not hold", p)
		}
	}
	if r.restricts {
		return r.judgeAllow(f, v, later)
	}
	return v
}

func (r *Rules) judgeAllow(f expr.Facts, v Verdict, later func(expr.Program) bool) Verdict {
	waits := false
	for _, p := range r.allow {
		if later != nil && later(p) {
			waits = true
		} else if holds(p, f) {
			return v
		}
	}
	if waits {
		v.Pending = true
		return v
	}
	return Verdict{Denied: true, Reason: "no allow expression holds"}
}

func holds(p expr.Program, f expr.Facts) bool {
	yes, err := p.Holds(f)
	return err == nil && yes
}

func denied(format string, p expr.Program) Verdict {
	return Verdict{Denied: true, Reason: fmt.Sprintf(format, p.Source())}
}

// NeedsBody tells whether an expression asks what only the request's body can
// answer: a model's name, a tool's arguments.
func NeedsBody(p expr.Program) bool { return p.Uses("llm") || p.Uses("mcp") }
