package objects_test

import (
	"testing"

	"github.com/navehq/nave/api/objects"
)

// TestSettings: what is wrong in a file that holds no objects is told by its
// place, in the words that are used of objects. A number is text where text is
// wanted, as in a command's arguments.
func TestSettings(t *testing.T) {
	type settings struct {
		List []struct {
			Name string `json:"name"`
			Up   bool   `json:"up"`
		} `json:"list"`
	}
	for text, want := range map[string]string{
		"list: [{name: a, up: true}]":      "",
		"":                                 "",
		"list: [{name: 80}, {name: yes}]":  "",
		"list: [{name: 80, nam: {a: b}}]":  `f.yaml: list[0].nam: there is no such field; correct its spelling or its place, or remove it; the rest holds`,
		"list: [{name: a}, {nam: b}]":      `f.yaml: list[1].nam: there is no such field; correct its spelling or its place, or remove it; the rest holds`,
		"list: [{name: a}, {up: perhaps}]": "f.yaml: list[1].up: a string does not fit here; give true or false; the rest holds",
		"list: a":                          "f.yaml: list: a string does not fit here; give a list; the rest holds",
		"words":                            "f.yaml: a string does not fit here; give an object; the rest holds",
		"list:\n- {":                       "f.yaml:2: is not YAML: did not find expected node content; mend the line that is named; the rest holds",
		"list: []\nlist: []":               `f.yaml:2: is not YAML: key "list" already set in map; mend the line that is named; the rest holds`,
	} {
		var into settings
		got := ""
		for _, p := range objects.Settings("c", "f.yaml", []byte(text), &into, "the rest holds") {
			if got += p.String(); p.Cluster != "c" {
				t.Errorf("%q: it is told of cluster %q", text, p.Cluster)
			}
		}
		if got != want {
			t.Errorf("%q:\n%s\nwant\n%s", text, got, want)
		}
	}
}
