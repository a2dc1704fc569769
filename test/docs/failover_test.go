package docs_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/navehq/nave/api/v1alpha1"
)

// The page names every field of a FailoverPolicy's spec, and every trigger.
func TestFailoverPageNamesEveryField(t *testing.T) {
	page := read(t, "docs/reference/failover.md").text
	for _, x := range v1alpha1.Triggers() {
		if !strings.Contains(page, "`"+string(x)+"`") {
			t.Errorf("the page does not name the trigger %s", x)
		}
	}
	found := 0
	var visit func(reflect.Type)
	visit = func(s reflect.Type) {
		for s.Kind() == reflect.Pointer || s.Kind() == reflect.Slice {
			s = s.Elem()
		}
		if s.Kind() != reflect.Struct || !strings.HasSuffix(s.PkgPath(), "/v1alpha1") || s == reflect.TypeFor[v1alpha1.Hedging]() || s == reflect.TypeFor[v1alpha1.FailoverTargetRef]() {
			return // those two the page explains by their own names
		}
		for i := range s.NumField() {
			name, _, _ := strings.Cut(s.Field(i).Tag.Get("json"), ",")
			if name != "" {
				found++
			}
			if !strings.Contains(page, name) {
				t.Errorf("the page does not name the field %s of %s", name, s.Name())
			}
			visit(s.Field(i).Type)
		}
	}
	visit(reflect.TypeFor[v1alpha1.FailoverPolicySpec]())
	if found < 20 {
		t.Errorf("found only %d fields in the type", found)
	}
}
