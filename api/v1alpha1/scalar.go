package v1alpha1

import (
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

// Name is the name of an object: a DNS-1123 subdomain.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
type Name string

// Label is a DNS-1123 label, such as a namespace or the name of a cluster.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
type Label string

// Region is the name of a region as its provider spells it, such as eastus.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
type Region string

// Percent is a whole share of a hundred.
//
// +kubebuilder:validation:Minimum=0
// +kubebuilder:validation:Maximum=100
type Percent int32

// Decimal is a number written without exponent or sign, such as "2.50".
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^[0-9]{1,12}(\.[0-9]{1,12})?$`
type Decimal string

// CIDR is an address range, such as 10.0.0.0/8 or fd00::/8.
//
// +kubebuilder:validation:MaxLength=43
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="must be an address range such as 10.0.0.0/8"
type CIDR string

// ClusterName is the name of a Cluster. It also names the cluster in TLS
// identities, metrics and logs.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
type ClusterName string
