package agentgateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Duration is a Gateway API duration (GEP-2257) such as "1m30s": up to four
// numbers of up to five digits, each with a unit of h, m, s or ms.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^([0-9]{1,5}(h|m|s|ms)){1,4}$`
type Duration string

// Or returns the duration, or unset where there is none. A value that is no
// duration is an error that quotes it.
func (d Duration) Or(unset time.Duration) (time.Duration, error) {
	if d == "" {
		return unset, nil
	}
	v, err := time.ParseDuration(string(d))
	if err != nil || v < 0 {
		return 0, fmt.Errorf("reading duration %q: not of the form 1m30s", string(d))
	}
	return v, nil
}

// CELExpression is the source of a CEL expression.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=16384
type CELExpression string

// ShortString is a bounded free text.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
type ShortString string

// SectionName names a part of an object: a DNS-1123 subdomain.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
type SectionName string

// Port is a TCP or UDP port; 0 means unset.
//
// +kubebuilder:validation:Minimum=1
// +kubebuilder:validation:Maximum=65535
type Port int32

// HeaderName is an HTTP field name, without HTTP/2 pseudo-headers.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
// +kubebuilder:validation:Pattern="^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$"
type HeaderName string

// AnyHeaderName is an HTTP field name or one of the pseudo-headers.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
// +kubebuilder:validation:Pattern="^:?[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$"
// +kubebuilder:validation:XValidation:rule="!self.startsWith(':') || self in [':authority', ':method', ':path', ':scheme', ':status']",message="pseudo-headers must be one of :authority, :method, :path, :scheme, or :status"
type AnyHeaderName string

// URL is an absolute http or https URL without user, query or fragment.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:Pattern=`^https?://[^/?#@]+(/[^?#]*)?$`
type URL string

// FailureMode says what happens to a request when a helper that should judge it
// does not answer. Unset means FailClosed.
//
// +kubebuilder:validation:Enum=FailClosed;FailOpen
type FailureMode string

// The failure modes.
const (
	FailClosed FailureMode = "FailClosed"
	FailOpen   FailureMode = "FailOpen"
)

// JSON holds any JSON value as it was written.
type JSON struct {
	// Raw is one JSON value; empty means null.
	Raw []byte `json:"-"`
}

// MarshalJSON returns the value as it was written.
func (j JSON) MarshalJSON() ([]byte, error) {
	if len(j.Raw) == 0 {
		return []byte("null"), nil
	}
	return j.Raw, nil
}

// UnmarshalJSON keeps a copy of the value.
func (j *JSON) UnmarshalJSON(raw []byte) error {
	if !json.Valid(raw) {
		return fmt.Errorf("reading a free-form value: not JSON")
	}
	j.Raw = bytes.Clone(raw)
	return nil
}
