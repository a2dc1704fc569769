package objects

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	sigsjson "sigs.k8s.io/json"
)

// head is what every object has.
type head struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta `json:"metadata"`
	Items           []json.RawMessage `json:"items"`
}

// FromJSON reads one object, for example a declaration of another cluster. The
// object is nil where it cannot be named at all.
func FromJSON(raw []byte, o Options) (*Object, []Problem) {
	d := &decoder{options: o}
	d.read(document{}, raw)
	if len(d.objects) != 1 {
		return nil, d.problems
	}
	return d.objects[0], d.problems
}

func (d *decoder) read(doc document, raw []byte) {
	if deeper(raw, MaxDepth) {
		d.problem(doc, ReasonTooLarge, "", fmt.Sprintf("nests deeper than %d", MaxDepth), "make it flatter")
		return
	}
	var h head
	if err := json.Unmarshal(raw, &h); err != nil {
		d.headless(doc, raw, err)
		return
	}
	if h.Kind == "List" && h.APIVersion == "v1" {
		d.list(doc, h.Items)
		return
	}
	group, version, found := strings.Cut(h.APIVersion, "/")
	if !found {
		group, version = "", h.APIVersion
	}
	if h.Kind == "" || version == "" {
		d.problem(doc, ReasonInvalidValue, "", "has no kind or no apiVersion", "set both")
		return
	}
	k, known := findKind(group, h.Kind)
	key := Key{Group: group, Kind: h.Kind, Namespace: h.Metadata.Namespace, Name: h.Metadata.Name}
	if !known || !slices.Contains(k.versions, version) {
		d.unread(doc, key, h.APIVersion, known)
		return
	}
	d.object(doc, k, key, &h.Metadata, raw)
}

// headless reports a document of which nobody can tell what object it is.
func (d *decoder) headless(doc document, raw []byte, err error) {
	var tree any
	if json.Unmarshal(raw, &tree) == nil {
		if m := misfits(reflect.TypeFor[head](), tree, ""); len(m) > 0 {
			for _, m := range m {
				d.problem(doc, ReasonInvalidValue, guess(doc.data), "is no object: "+m.message(), "give it apiVersion, kind and metadata")
				d.problems[len(d.problems)-1].Field = m.path
			}
			return
		}
	}
	d.problem(doc, ReasonInvalidValue, guess(doc.data), "is no object: "+err.Error(), "give it apiVersion, kind and metadata")
}

func (d *decoder) list(doc document, items []json.RawMessage) {
	if len(d.objects)+len(items) > MaxDocuments {
		d.problem(doc, ReasonTooLarge, "", fmt.Sprintf("there are more than %d objects", MaxDocuments), "split the file")
		return
	}
	for _, item := range items {
		d.read(doc, item)
	}
}

// unread reports a kind that is not read.
func (d *decoder) unread(doc document, key Key, apiVersion string, known bool) {
	switch {
	case known:
		d.problem(doc, ReasonUnknownKind, key.String(), fmt.Sprintf("version %q of kind %s is not known", apiVersion, key.Kind), "use a version that is served")
	case slices.Contains(ours, key.Group):
		d.problem(doc, ReasonUnknownKind, key.String(), fmt.Sprintf("there is no kind %s in %q", key.Kind, apiVersion), "correct kind or apiVersion")
	default:
		d.problem(doc, ReasonNotRunHere, key.String(), fmt.Sprintf("only a cluster can run a %s; it is left out here", key.Kind), "")
		d.problems[len(d.problems)-1].Severity = SeverityInfo
	}
}

func (d *decoder) object(doc document, k kind, key Key, meta *metav1.ObjectMeta, raw []byte) {
	switch {
	case k.clusterWide:
		key.Namespace = ""
	case key.Namespace == "":
		key.Namespace = metav1.NamespaceDefault
	}
	if why := badName(key); why != "" {
		d.problem(doc, ReasonInvalidValue, key.String(), why, "correct metadata.name and metadata.namespace")
		return
	}
	o := &Object{
		Key: key, Cluster: d.options.Cluster, File: doc.at(),
		Labels: meta.Labels, Annotations: meta.Annotations,
	}
	if key.Kind == "Secret" && d.options.Env != nil {
		var problems []Problem
		if raw, problems = expandSecret(raw, o, d.options.Env); len(problems) > 0 {
			d.problems = append(d.problems, problems...)
			return
		}
	}
	canonical, err := canonicalJSON(raw, key)
	if err != nil {
		d.problem(doc, ReasonInvalidValue, key.String(), err.Error(), "correct it")
		return
	}
	o.JSON, o.Hash = canonical, hash(canonical)
	delete(o.Annotations, lastApplied)
	o.Invalid = d.fill(o, k)
	d.problems = append(d.problems, o.Invalid...)
	d.objects = append(d.objects, o)
}

func badName(k Key) string {
	if k.Name == "" {
		return "has no name"
	}
	if why := validation.IsDNS1123Subdomain(k.Name); len(why) > 0 {
		return fmt.Sprintf("name %q: %s", k.Name, why[0])
	}
	if k.Namespace == "" {
		return ""
	}
	if why := validation.IsDNS1123Label(k.Namespace); len(why) > 0 {
		return fmt.Sprintf("namespace %q: %s", k.Namespace, why[0])
	}
	return ""
}

// fill reads the typed value and says what of it cannot be.
func (d *decoder) fill(o *Object, k kind) []Problem {
	if k.blank == nil {
		u := &unstructured.Unstructured{}
		if err := json.Unmarshal(o.JSON, &u.Object); err != nil {
			return []Problem{d.invalid(o, ReasonInvalidValue, "", err.Error(), "correct it")}
		}
		o.Value = u
		return nil
	}
	o.Value = k.blank()
	strict, err := sigsjson.UnmarshalStrict(o.JSON, o.Value)
	var problems []Problem
	for _, e := range strict {
		problems = append(problems, d.strict(o, e))
	}
	if err != nil {
		problems = append(problems, d.unfit(o, err)...)
	} else if d.options.Schemas != nil {
		for _, f := range d.options.Schemas.Check(o.Group, o.Kind, o.JSON) {
			problems = append(problems, d.invalid(o, ReasonNotAllowed, f.Field, f.Message, f.Remedy))
		}
	}
	if why := o.Annotations[AnnotationInvalid]; why != "" {
		reason := ReasonInvalidValue
		if strings.HasPrefix(why, ReasonNotAllowed+" ") {
			reason = ReasonNotAllowed
		}
		problems = append(problems, d.invalid(o, reason, "", "its own cluster cannot read it: "+why, "mend it there"))
	}
	setDefaults(o.Value)
	return problems
}

func (d *decoder) invalid(o *Object, reason, field, message, remedy string) Problem {
	return Problem{
		Cluster: d.options.Cluster, File: o.File, Object: o.Key.String(), Field: field,
		Reason: reason, Message: message, Remedy: remedy,
	}
}

var unknownField = regexp.MustCompile(`^unknown field "(.*)"$`)

func (d *decoder) strict(o *Object, err error) Problem {
	m := unknownField.FindStringSubmatch(err.Error())
	if m == nil {
		return d.invalid(o, ReasonInvalidValue, "", err.Error(), "correct it")
	}
	return d.invalid(o, ReasonUnknownField, m[1], "there is no such field", "correct its spelling or its place, or remove it")
}

// unfit names the values of wrong types, of which a decoder's error tells.
func (d *decoder) unfit(o *Object, err error) []Problem {
	var problems []Problem
	tree, _ := parse(o.JSON) // it has been read before
	for _, m := range misfits(reflect.TypeOf(o.Value), tree, "") {
		problems = append(problems, d.invalid(o, ReasonInvalidValue, m.path, m.message(), m.remedy()))
	}
	if len(problems) == 0 {
		return []Problem{d.invalid(o, ReasonInvalidValue, "", err.Error(), "correct it")}
	}
	return problems
}

func article(noun string) string {
	if strings.ContainsAny(noun[:min(1, len(noun))], "aeiou") {
		return "an " + noun
	}
	return "a " + noun
}

// deeper tells whether JSON nests deeper than most.
func deeper(raw []byte, most int) bool {
	depth, inString := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
