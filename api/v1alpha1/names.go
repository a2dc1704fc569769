package v1alpha1

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ControllerName is the controllerName of every GatewayClass that Nave owns, and
// what Nave writes into the statuses of Gateway API objects.
const ControllerName = "nave.dev/gateway-controller"

// The GatewayClasses that a spoke's chart creates. The latter two are the names
// that agentgateway's users know, and may be switched off.
const (
	ClassNave                   = "nave"
	ClassAgentgateway           = "agentgateway"
	ClassEnterpriseAgentgateway = "enterprise-agentgateway"
)

// The annotations that Nave reads, but for AnnotationAddresses, which it writes.
const (
	// AnnotationPlacement, on a Gateway, or as a default on its GatewayClass or the
	// Tenant: where the Gateway's proxies run. See ParsePlacement.
	AnnotationPlacement = "nave.dev/placement"
	// AnnotationScope, on a backend: ScopeFleet or ScopeCluster.
	AnnotationScope = "nave.dev/scope"
	// AnnotationRegion, on a backend: the region its provider serves from.
	AnnotationRegion = "nave.dev/region"
	// AnnotationSeal, on a Secret, or as a default on its Namespace or the Tenant:
	// SealAllowed lets it travel sealed to other clusters.
	AnnotationSeal = "nave.dev/seal"
	// AnnotationAddresses, on a Gateway: its addresses in each region, as JSON.
	AnnotationAddresses = "nave.dev/addresses"
)

// The labels of what Nave makes.
const (
	// LabelCluster names the cluster that an object speaks of.
	LabelCluster = "nave.dev/cluster"
	// LabelTenant names the tenant that an object belongs to.
	LabelTenant = "nave.dev/tenant"
)

// The values of AnnotationScope. ScopeFleet makes namesakes in several clusters one
// backend with several instances.
const (
	ScopeFleet   = "Fleet"
	ScopeCluster = "Cluster"
)

// SealAllowed is the one value of AnnotationSeal that allows anything.
const SealAllowed = "Allowed"

// The values of AnnotationPlacement besides a list of regions.
const (
	PlacementLocal = "Local"
	PlacementFleet = "Fleet"
)

// maxPlacementRegions bounds the regions of one placement, as TenantSpec's
// allowedRegions does.
const maxPlacementRegions = 64

var region = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Placement says where a Gateway's proxies run.
type Placement struct {
	// Fleet: in every cluster that the tenant may use.
	Fleet bool
	// Regions: in these. With neither, only where the Gateway is declared.
	Regions []Region
}

// ParsePlacement reads a value of AnnotationPlacement: Local, Fleet, or at most 64
// regions separated by commas, blanks around them ignored and repetitions dropped.
// The empty value is Local.
func ParsePlacement(value string) (Placement, error) {
	switch value = strings.TrimSpace(value); value {
	case "", PlacementLocal:
		return Placement{}, nil
	case PlacementFleet:
		return Placement{Fleet: true}, nil
	}
	if strings.Count(value, ",") >= maxPlacementRegions {
		return Placement{}, fmt.Errorf("reading a placement: more than %d regions", maxPlacementRegions)
	}
	var p Placement
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		if !region.MatchString(name) {
			return Placement{}, fmt.Errorf("reading placement %.80q: %.80q is no region; want Local, Fleet, or regions separated by commas", value, name)
		}
		if !slices.Contains(p.Regions, Region(name)) {
			p.Regions = append(p.Regions, Region(name))
		}
	}
	return p, nil
}

// String returns the placement as ParsePlacement reads it.
func (p Placement) String() string {
	if p.Fleet {
		return PlacementFleet
	}
	if len(p.Regions) == 0 {
		return PlacementLocal
	}
	names := make([]string, len(p.Regions))
	for i, r := range p.Regions {
		names[i] = string(r)
	}
	return strings.Join(names, ",")
}

// Placement returns the placement that the tenant's Gateways have by default, as
// AnnotationPlacement is written: by its field, else by its annotation. Empty means
// that the tenant says nothing.
func (t *Tenant) Placement() string {
	if t.Spec.DefaultPlacement != "" {
		return t.Spec.DefaultPlacement
	}
	return t.Annotations[AnnotationPlacement]
}
