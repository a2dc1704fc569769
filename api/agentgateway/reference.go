package agentgateway

// PolicyBackendRef points at a backend that a policy makes use of.
//
// +kubebuilder:validation:XValidation:rule="(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true",message="Must have port for Service reference"
type PolicyBackendRef struct {
	// API group; empty is the core group.
	// +kubebuilder:default=""
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Group string `json:"group,omitempty"`
	// Kind; Service unless said otherwise.
	// +kubebuilder:default=Service
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`
	Kind string `json:"kind,omitempty"`
	// Name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Namespace of the object; the policy's own if unset.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`
	// Port; a Service needs one.
	Port Port `json:"port,omitempty"`
}

// CredentialRef points at an object that holds a credential, a Secret unless
// group and kind name another.
//
// +kubebuilder:validation:XValidation:rule="(has(self.group) && size(self.group) > 0) == (has(self.kind) && size(self.kind) > 0) || (has(self.kind) && self.kind == 'Secret')",message="custom credential refs must set both group and kind"
type CredentialRef struct {
	// API group; empty is the core group.
	Group string `json:"group,omitempty"`
	// Kind; empty is Secret.
	Kind string `json:"kind,omitempty"`
	// Name of the object, in the namespace of the one that refers to it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// CredentialRefWithKey points at one entry of an object that holds credentials.
type CredentialRefWithKey struct {
	CredentialRef `json:",inline"`
	// Entry to read. If unset: Authorization, then api-key, then the only one.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// NamedParameter names a query parameter or a cookie.
type NamedParameter struct {
	// Name of the parameter.
	Name ShortString `json:"name"`
}

// HeaderLocation is a header and what stands before the credential in it.
type HeaderLocation struct {
	// Name of the header.
	Name HeaderName `json:"name"`
	// Text before the credential, such as "Bearer ".
	Prefix ShortString `json:"prefix,omitempty"`
}

// InsertLocation says where a credential is written on a request.
//
// +kubebuilder:validation:ExactlyOneOf=header;queryParameter;cookie
type InsertLocation struct {
	// A header.
	Header *HeaderLocation `json:"header,omitempty"`
	// A query parameter.
	QueryParameter *NamedParameter `json:"queryParameter,omitempty"`
	// A cookie.
	Cookie *NamedParameter `json:"cookie,omitempty"`
}

// ExtractLocation says where a credential is read from a request.
//
// +kubebuilder:validation:ExactlyOneOf=header;queryParameter;cookie;expression
type ExtractLocation struct {
	// A header.
	Header *HeaderLocation `json:"header,omitempty"`
	// A query parameter.
	QueryParameter *NamedParameter `json:"queryParameter,omitempty"`
	// A cookie.
	Cookie *NamedParameter `json:"cookie,omitempty"`
	// CEL over the request.
	Expression CELExpression `json:"expression,omitempty"`
}
