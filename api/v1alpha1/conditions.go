package v1alpha1

// Condition types that stand on objects of several kinds.
const (
	// ConditionAccepted: the object is understood and allowed.
	ConditionAccepted = "Accepted"
	// ConditionResolvedRefs: what it refers to is there.
	ConditionResolvedRefs = "ResolvedRefs"
	// ConditionProgrammed: proxies obey it.
	ConditionProgrammed = "Programmed"
	// ConditionPartiallyInvalid: a part is refused, and what is left is in force.
	ConditionPartiallyInvalid = "PartiallyInvalid"
	// ConditionInstances, on a backend: which clusters' namesakes stand in for each
	// other, and what of them has no pair.
	ConditionInstances = "Instances"
	// ConditionPlaced, on a Gateway: in how many of its clusters it runs.
	ConditionPlaced = "nave.dev/Placed"
)

// Reasons that Nave gives on the kinds of others, and on several of its own.
const (
	// ReasonAccepted: nothing is wrong.
	ReasonAccepted = "Accepted"
	// ReasonUnsupportedField: the field named is understood, and not built yet.
	ReasonUnsupportedField = "UnsupportedField"
	// ReasonPolicyInvalid: something that restricts cannot be enforced, so that what
	// it protects is closed.
	ReasonPolicyInvalid = "PolicyInvalid"
	// ReasonNamespaceNotAdmitted: no tenant owns the object's namespace.
	ReasonNamespaceNotAdmitted = "NamespaceNotAdmitted"
	// ReasonAwaitingHub: the hub has not yet said whose the namespace is.
	ReasonAwaitingHub = "AwaitingHub"
	// ReasonOnlyOnKubernetes: the field is for what only a Kubernetes cluster runs.
	// It means nothing here and stops nothing.
	ReasonOnlyOnKubernetes = "OnlyOnKubernetes"
	// ReasonOnlyAtHome: it does not leave the cluster that declares it.
	ReasonOnlyAtHome = "OnlyAtHome"
	// ReasonOverLimit: the tenant has as many as it may.
	ReasonOverLimit = "OverLimit"
	// ReasonHostnameNotAllowed: the tenant may not claim the hostname.
	ReasonHostnameNotAllowed = "HostnameNotAllowed"
	// ReasonNameTaken: another holds the name, and was first.
	ReasonNameTaken = "NameTaken"
	// ReasonInstanceConflict: a namesake in another cluster is of a different kind.
	ReasonInstanceConflict = "InstanceConflict"
	// ReasonInstances: the namesakes that count are named in the message.
	ReasonInstances = "Instances"
	// ReasonRegionUnknown: residency is asked for and the provider's region is not
	// known.
	ReasonRegionUnknown = "RegionUnknown"
	// ReasonRegionNotAllowed: the region is outside the tenant's.
	ReasonRegionNotAllowed = "RegionNotAllowed"
	// ReasonSecretNotSealed: another cluster needs the secret, which may not travel.
	ReasonSecretNotSealed = "SecretNotSealed"
	// ReasonSecretNotFound: the secret, or its entry, is not there.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonOverlayForbidden: the patched pod would be more than it may be.
	ReasonOverlayForbidden = "OverlayForbidden"
	// ReasonPlaced: the Gateway runs in all its clusters.
	ReasonPlaced = "Placed"
	// ReasonPartiallyPlaced: the Gateway runs in some of its clusters.
	ReasonPartiallyPlaced = "PartiallyPlaced"
)
