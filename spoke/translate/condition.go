package translate

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/v1alpha1"
)

// condition is a metav1.Condition before it is known of which generation it is.
type condition struct {
	kind    string
	status  metav1.ConditionStatus
	reason  string
	message string
}

func yes(kind, reason, message string) condition {
	return condition{kind, metav1.ConditionTrue, reason, message}
}

func no(kind, reason, message string) condition {
	return condition{kind, metav1.ConditionFalse, reason, message}
}

func unknown(kind, reason, message string) condition {
	return condition{kind, metav1.ConditionUnknown, reason, message}
}

// maxMessage is what metav1.Condition allows.
const maxMessage = 32768

// at gives conditions the generation that they speak of, sorted by type.
func at(generation int64, list ...condition) []metav1.Condition {
	out := make([]metav1.Condition, 0, len(list))
	for _, c := range list {
		if len(c.message) > maxMessage {
			c.message = strings.ToValidUTF8(c.message[:maxMessage], "")
		}
		out = append(out, metav1.Condition{
			Type: c.kind, Status: c.status, Reason: c.reason, Message: c.message, ObservedGeneration: generation,
		})
	}
	slices.SortStableFunc(out, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	return out
}

// overlay puts a verdict's conditions over ours of the same type.
func overlay(list []metav1.Condition, v *assignment.Verdict) []metav1.Condition {
	if v == nil {
		return list
	}
	for _, c := range v.Conditions {
		list = slices.DeleteFunc(list, func(x metav1.Condition) bool { return x.Type == c.Type })
		list = append(list, metav1.Condition{
			Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message, ObservedGeneration: v.Generation,
		})
	}
	slices.SortStableFunc(list, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	return list
}

// fault is something that is wrong with a declaration.
type fault struct {
	field   string
	reason  string
	message string
	remedy  string
}

// waiting is the fault behind a condition that is not true for no fault of the
// object's own.
func waiting(c condition) fault {
	return fault{reason: c.reason, message: c.message}
}

func (f fault) String() string {
	text := f.message
	if f.field != "" {
		text = f.field + ": " + text
	}
	if f.remedy != "" {
		text += "; " + f.remedy
	}
	return text
}

// join is all faults in one message.
func join(faults []fault) string {
	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = f.String()
	}
	return strings.Join(texts, " | ")
}

// problems turns faults of an object into what people are told.
func (s *schema) problems(o *objects.Object, faults []fault) []objects.Problem {
	var out []objects.Problem
	for _, f := range faults {
		if slices.ContainsFunc(o.Invalid, func(p objects.Problem) bool { return p.Field == f.field && f.field != "" }) {
			continue // the reader has told of it
		}
		p := objects.Problem{
			Cluster: s.options.Cluster, File: o.File, Object: o.Key.String(), Field: f.field,
			Reason: cmp.Or(f.reason, "Invalid"), Message: f.message, Remedy: f.remedy,
		}
		if f.reason == v1alpha1.ReasonAwaitingHub || f.reason == v1alpha1.ReasonOnlyOnKubernetes {
			p.Severity = objects.SeverityInfo
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// unreadable tells that nobody knows what of an object was meant. Where all its
// values are of their types, those that are not allowed are left out.
func unreadable(o *objects.Object) bool {
	return slices.ContainsFunc(o.Invalid, func(p objects.Problem) bool { return p.Reason != objects.ReasonNotAllowed })
}

// invalid are the faults that an object was read with. The reader has already
// told of them: here they are conditions only.
func invalid(o *objects.Object) []fault {
	var out []fault
	for _, p := range o.Invalid {
		out = append(out, fault{field: p.Field, reason: p.Reason, message: p.Message, remedy: p.Remedy})
	}
	return out
}
