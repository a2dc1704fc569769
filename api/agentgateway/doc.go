// Package agentgateway carries the agentgateway.dev/v1alpha1 kinds that tenants
// write: AgentgatewayBackend, AgentgatewayPolicy and AgentgatewayParameters. The
// types are a superset of the schemas that agentgateway has published from 1.0
// on, so that a manifest written for any of those releases decodes.
//
// The package says what a declaration may hold and where its secrets are. It
// never says what a declaration means: defaults noted on fields are filled in by
// a Kubernetes API server and must be assumed by whoever reads an object that
// came from a folder, and a field that decodes here may still be refused by the
// translator.
//
// +kubebuilder:object:generate=true
// +groupName=agentgateway.dev
// +versionName=v1alpha1
package agentgateway
