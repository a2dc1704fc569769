package agentgateway

// Connection holds the settings of the connection to a destination, the part
// that every kind of backend policy shares.
type Connection struct {
	// TCP settings.
	TCP *BackendTCP `json:"tcp,omitempty"`
	// TLS towards the destination; {} alone verifies by the system's CAs.
	TLS *BackendTLS `json:"tls,omitempty"`
	// HTTP settings.
	HTTP *BackendHTTP `json:"http,omitempty"`
	// Proxy to go through.
	Tunnel *Tunnel `json:"tunnel,omitempty"`
}

// BackendTCP holds TCP settings of a connection to a destination.
type BackendTCP struct {
	// Time a connection may take to be made.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms')",message="connectTimeout must be at least 100ms"
	ConnectTimeout Duration `json:"connectTimeout,omitempty"`
	// TCP keepalive; {} alone turns it on.
	Keepalive *Keepalive `json:"keepalive,omitempty"`
}

// Keepalive holds the settings of TCP keepalive.
type Keepalive struct {
	// Probes lost before the connection is given up; 9 if unset.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	Retries int32 `json:"retries,omitempty"`
	// Idle time before the first probe; 180s if unset.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="time must be at least 1 second"
	Time Duration `json:"time,omitempty"`
	// Time between probes; 180s if unset.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="interval must be at least 1 second"
	Interval Duration `json:"interval,omitempty"`
}

// BackendHTTP holds HTTP settings towards a destination.
type BackendHTTP struct {
	// Protocol version. If unset: by the Service's appProtocol, HTTP/2 for gRPC,
	// as the request came for plaintext, by ALPN for TLS.
	// +kubebuilder:validation:Enum=HTTP1;HTTP2
	Version string `json:"version,omitempty"`
	// Time the destination has for its answer.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1ms')",message="requestTimeout must be at least 1ms"
	RequestTimeout Duration `json:"requestTimeout,omitempty"`
}

// The HTTP versions of BackendHTTP.
const (
	HTTP1 = "HTTP1"
	HTTP2 = "HTTP2"
)

// BackendTLS holds TLS settings towards a destination.
//
// +kubebuilder:validation:XValidation:rule="!has(self.insecureSkipVerify) || self.insecureSkipVerify != 'All' || !has(self.caCertificateRefs)",message="insecureSkipVerify All and caCertificateRefs may not be set together"
// +kubebuilder:validation:XValidation:rule="!has(self.insecureSkipVerify) || !has(self.verifySubjectAltNames)",message="insecureSkipVerify and verifySubjectAltNames may not be set together"
// +kubebuilder:validation:XValidation:rule="!has(self.certificateSource) || self.certificateSource != 'SPIFFE' || (!has(self.mtlsCertificateRef) && !has(self.caCertificateRefs) && !has(self.insecureSkipVerify))",message="certificateSource SPIFFE may not be combined with mtlsCertificateRef, caCertificateRefs, or insecureSkipVerify"
// +kubebuilder:validation:AtMostOneOf=verifySubjectAltNames;insecureSkipVerify
type BackendTLS struct {
	// Client certificate: tls.crt and tls.key, and ca.crt if there is one.
	// +kubebuilder:validation:MaxItems=1
	MTLSCertificateRef []CredentialRef `json:"mtlsCertificateRef,omitempty"`
	// CA to verify by, entry ca.crt; the system's if unset.
	// +kubebuilder:validation:MaxItems=1
	CACertificateRefs []CACertificateRef `json:"caCertificateRefs,omitempty"`
	// What of the verification is left out.
	// +kubebuilder:validation:Enum=All;Hostname
	InsecureSkipVerify string `json:"insecureSkipVerify,omitempty"`
	// Server name to ask for; the host's name if unset.
	SNI SectionName `json:"sni,omitempty"`
	// Names the certificate must hold one of; the host's name if unset.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	VerifySubjectAltNames []ShortString `json:"verifySubjectAltNames,omitempty"`
	// ALPN protocols; h2 and http/1.1 if unset.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	ALPNProtocols []TinyString `json:"alpnProtocols,omitempty"`
	// Key exchange groups in order of preference.
	KeyExchangeGroups []KeyExchangeGroup `json:"keyExchangeGroups,omitempty"`
	// Where certificate and trust come from.
	// +kubebuilder:validation:Enum=Inline;SPIFFE
	// +kubebuilder:default=Inline
	CertificateSource string `json:"certificateSource,omitempty"`
}

// What BackendTLS.InsecureSkipVerify may leave out.
const (
	SkipAll      = "All"
	SkipHostname = "Hostname"
)

// TinyString is a bounded free text.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=64
type TinyString string

// KeyExchangeGroup names a TLS key exchange group.
//
// +kubebuilder:validation:Enum=P-256;P-384;X25519;X25519_MLKEM768
type KeyExchangeGroup string

// CACertificateRef points at a CA certificate, entry ca.crt.
type CACertificateRef struct {
	// ConfigMap unless said otherwise.
	// +kubebuilder:validation:Enum=ConfigMap;Secret
	// +kubebuilder:default=ConfigMap
	Kind string `json:"kind,omitempty"`
	// Name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// Tunnel is an HTTP CONNECT proxy through which a destination is reached.
//
// +kubebuilder:validation:ExactlyOneOf=backendRef;url
// +kubebuilder:validation:XValidation:rule="!has(self.url) || self.url.matches('^https?://[^/]+/?$')",message="url must not include a path for backend tunnel"
type Tunnel struct {
	// The proxy as a backend.
	BackendRef *PolicyBackendRef `json:"backendRef,omitempty"`
	// The proxy as a URL.
	URL URL `json:"url,omitempty"`
}
