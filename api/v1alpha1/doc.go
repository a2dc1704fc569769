// Package v1alpha1 carries the nave.dev/v1alpha1 kinds, and the names of the
// annotations, conditions and reasons that Nave reads and writes on the kinds of
// others.
//
// The package says what may be declared and reported. It never decides anything:
// defaults noted on fields are filled in by a Kubernetes API server and must be
// assumed by whoever reads an object that came from a folder.
//
// +kubebuilder:object:generate=true
// +groupName=nave.dev
package v1alpha1
