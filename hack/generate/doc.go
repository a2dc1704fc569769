// Package generate holds the tool that writes deepcopy functions and CRDs, in a
// module of its own so that the product does not carry its dependencies, and the
// tests that hold the CRDs against the libraries of a Kubernetes API server. Run
// those with -count=1: what they read lies outside this module, where the test cache
// does not look.
package generate
