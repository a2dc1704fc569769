package agentgateway

import "k8s.io/apimachinery/pkg/api/resource"

// Frontend holds what is done with connections and what is recorded of requests.
//
// +kubebuilder:validation:AtLeastOneOf=accessLog;connect;http;metrics;networkAuthorization;proxyProtocol;tcp;tls;tracing
type Frontend struct {
	// TCP.
	TCP *FrontendTCP `json:"tcp,omitempty"`
	// Who may connect, by CEL.
	NetworkAuthorization *Authorization `json:"networkAuthorization,omitempty"`
	// PROXY protocol; {} alone turns it on.
	ProxyProtocol *ProxyProtocol `json:"proxyProtocol,omitempty"`
	// CONNECT requests; refused with 405 if unset.
	Connect *Connect `json:"connect,omitempty"`
	// TLS.
	TLS *FrontendTLS `json:"tls,omitempty"`
	// HTTP.
	HTTP *FrontendHTTP `json:"http,omitempty"`
	// Access log.
	AccessLog *AccessLog `json:"accessLog,omitempty"`
	// Traces.
	Tracing *Tracing `json:"tracing,omitempty"`
	// Metrics.
	Metrics *FrontendMetrics `json:"metrics,omitempty"`
}

// FrontendTCP holds TCP settings towards clients.
//
// +kubebuilder:validation:AtLeastOneOf=keepalive
type FrontendTCP struct {
	// TCP keepalive.
	Keepalive *Keepalive `json:"keepalive,omitempty"`
}

// ProxyProtocol reads the client's address from a PROXY header.
type ProxyProtocol struct {
	// Version taken.
	// +kubebuilder:default=V2
	// +kubebuilder:validation:Enum=All;V1;V2
	Version string `json:"version,omitempty"`
	// Whether a header must be there.
	// +kubebuilder:default=Strict
	// +kubebuilder:validation:Enum=Optional;Strict
	Mode string `json:"mode,omitempty"`
}

// Connect says what is done with CONNECT requests.
type Connect struct {
	// Refused, routed as others, or tunnelled.
	// +kubebuilder:validation:Enum=Deny;Route;Tunnel
	Mode string `json:"mode"`
}

// FrontendTLS holds TLS settings towards clients.
//
// +kubebuilder:validation:AtLeastOneOf=alpnProtocols;cipherSuites;handshakeTimeout;keyExchangeGroups;maxProtocolVersion;minProtocolVersion
type FrontendTLS struct {
	// Time a handshake may take; 15s if unset.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms')",message="handshakeTimeout must be at least 100ms"
	HandshakeTimeout Duration `json:"handshakeTimeout,omitempty"`
	// ALPN protocols; h2 and http/1.1 if unset.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	ALPNProtocols []TinyString `json:"alpnProtocols,omitempty"`
	// Lowest version.
	MinProtocolVersion TLSVersion `json:"minProtocolVersion,omitempty"`
	// Highest version.
	MaxProtocolVersion TLSVersion `json:"maxProtocolVersion,omitempty"`
	// Cipher suites.
	CipherSuites []CipherSuite `json:"cipherSuites,omitempty"`
	// Key exchange groups in order of preference.
	KeyExchangeGroups []KeyExchangeGroup `json:"keyExchangeGroups,omitempty"`
}

// TLSVersion is a version of TLS.
//
// +kubebuilder:validation:Enum="1.2";"1.3"
type TLSVersion string

// CipherSuite names a TLS cipher suite.
//
// +kubebuilder:validation:Enum=TLS13_AES_128_GCM_SHA256;TLS13_AES_256_GCM_SHA384;TLS13_CHACHA20_POLY1305_SHA256;TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
type CipherSuite string

// FrontendHTTP holds HTTP settings towards clients.
//
// +kubebuilder:validation:AtLeastOneOf=http1HeaderCase;http1IdleTimeout;http1MaxHeaders;http2ConnectionWindowSize;http2FrameSize;http2KeepaliveInterval;http2KeepaliveTimeout;http2MaxHeaderSize;http2WindowSize;maxBufferSize;maxConnectionDuration
type FrontendHTTP struct {
	// Largest body kept in memory; 2 MB if unset.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? (self >= 1 && self <= 4294967295) : (isQuantity(self) && quantity(self).compareTo(quantity('1')) >= 0 && quantity(self).compareTo(quantity('4294967295')) <= 0)",message="value must be at least 1 byte and fit within uint32"
	MaxBufferSize *resource.Quantity `json:"maxBufferSize,omitempty"`
	// Headers an HTTP/1.1 request may have; 100 if unset.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4096
	HTTP1MaxHeaders int32 `json:"http1MaxHeaders,omitempty"`
	// Time an unused connection is kept; 10m if unset.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="http1IdleTimeout must be at least 1 second"
	HTTP1IdleTimeout Duration `json:"http1IdleTimeout,omitempty"`
	// Case of header names in HTTP/1.1 answers.
	// +kubebuilder:validation:Enum=Lowercase;Preserve
	HTTP1HeaderCase string `json:"http1HeaderCase,omitempty"`
	// Window of a stream.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? (self >= 1 && self <= 4294967295) : (isQuantity(self) && quantity(self).compareTo(quantity('1')) >= 0 && quantity(self).compareTo(quantity('4294967295')) <= 0)",message="value must be at least 1 byte and fit within uint32"
	HTTP2WindowSize *resource.Quantity `json:"http2WindowSize,omitempty"`
	// Window of a connection.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? (self >= 1 && self <= 4294967295) : (isQuantity(self) && quantity(self).compareTo(quantity('1')) >= 0 && quantity(self).compareTo(quantity('4294967295')) <= 0)",message="value must be at least 1 byte and fit within uint32"
	HTTP2ConnectionWindowSize *resource.Quantity `json:"http2ConnectionWindowSize,omitempty"`
	// Largest frame; 16 KB if unset.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 16384 : (!isQuantity(self) || quantity(self).compareTo(quantity('16384')) >= 0)",message="http2FrameSize must be at least 16384 bytes"
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self <= 1677215 : (!isQuantity(self) || quantity(self).compareTo(quantity('1677215')) <= 0)",message="http2FrameSize must be at most 1677215 bytes"
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? (self >= 1 && self <= 4294967295) : (isQuantity(self) && quantity(self).compareTo(quantity('1')) >= 0 && quantity(self).compareTo(quantity('4294967295')) <= 0)",message="value must be at least 1 byte and fit within uint32"
	HTTP2FrameSize *resource.Quantity `json:"http2FrameSize,omitempty"`
	// Largest header list of an HTTP/2 request; 16 KiB if unset.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? (self >= 1 && self <= 4294967295) : (isQuantity(self) && quantity(self).compareTo(quantity('1')) >= 0 && quantity(self).compareTo(quantity('4294967295')) <= 0)",message="value must be at least 1 byte and fit within uint32"
	HTTP2MaxHeaderSize *resource.Quantity `json:"http2MaxHeaderSize,omitempty"`
	// Time between pings; none if unset.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="http2KeepaliveInterval must be at least 1 second"
	HTTP2KeepaliveInterval Duration `json:"http2KeepaliveInterval,omitempty"`
	// Time a ping may stay unanswered.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="http2KeepaliveTimeout must be at least 1 second"
	HTTP2KeepaliveTimeout Duration `json:"http2KeepaliveTimeout,omitempty"`
	// Longest life of a connection.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="maxConnectionDuration must be at least 1 second"
	MaxConnectionDuration Duration `json:"maxConnectionDuration,omitempty"`
}

// NamedExpression is a value computed by CEL, and its name.
type NamedExpression struct {
	// Name.
	Name ShortString `json:"name"`
	// CEL.
	Expression CELExpression `json:"expression"`
}

// LogAttributes changes what a record holds.
//
// +kubebuilder:validation:AtLeastOneOf=add;remove
type LogAttributes struct {
	// Fields left out.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Remove []TinyString `json:"remove,omitempty"`
	// Fields added.
	// +kubebuilder:validation:MinItems=1
	Add []NamedExpression `json:"add,omitempty"`
}

// AccessLog says what is logged of a request.
type AccessLog struct {
	// Which requests, by CEL; all if unset.
	Filter CELExpression `json:"filter,omitempty"`
	// Fields.
	Attributes *LogAttributes `json:"attributes,omitempty"`
	// Export by OTLP.
	OTLP *OTLPLog `json:"otlp,omitempty"`
}

// OTLPLog exports the access log.
//
// +kubebuilder:validation:XValidation:rule="!has(self.path) || (has(self.protocol) && self.protocol == 'HTTP')",message="path is only valid with protocol HTTP"
// +kubebuilder:validation:XValidation:rule="!has(self.path) || self.path.startsWith('/')",message="path must start with /"
// +kubebuilder:validation:XValidation:rule="!has(self.url) || (has(self.protocol) && self.protocol == 'HTTP') || self.url.matches('^https?://[^/]+/?$')",message="url path is only valid with protocol HTTP"
// +kubebuilder:validation:ExactlyOneOf=backendRef;url
type OTLPLog struct {
	// The collector as a backend.
	BackendRef *PolicyBackendRef `json:"backendRef,omitempty"`
	// The collector as a URL.
	URL URL `json:"url,omitempty"`
	// Transport.
	// +kubebuilder:default=GRPC
	// +kubebuilder:validation:Enum=GRPC;HTTP
	Protocol string `json:"protocol,omitempty"`
	// Path, for HTTP; /v1/logs if unset.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path,omitempty"`
	// Which requests, by CEL; the log's own if unset.
	Filter CELExpression `json:"filter,omitempty"`
	// Fields; the log's own if unset.
	Attributes *LogAttributes `json:"attributes,omitempty"`
}

// Tracing exports traces.
//
// +kubebuilder:validation:XValidation:rule="!has(self.path) || (has(self.protocol) && self.protocol == 'HTTP')",message="path is only valid with protocol HTTP"
// +kubebuilder:validation:XValidation:rule="!has(self.path) || self.path.startsWith('/')",message="path must start with /"
// +kubebuilder:validation:XValidation:rule="!has(self.url) || (has(self.protocol) && self.protocol == 'HTTP') || self.url.matches('^https?://[^/]+/?$')",message="url path is only valid with protocol HTTP"
// +kubebuilder:validation:ExactlyOneOf=backendRef;url
type Tracing struct {
	// The collector as a backend.
	BackendRef *PolicyBackendRef `json:"backendRef,omitempty"`
	// The collector as a URL.
	URL URL `json:"url,omitempty"`
	// Transport.
	// +kubebuilder:default=GRPC
	// +kubebuilder:validation:Enum=GRPC;HTTP
	Protocol string `json:"protocol,omitempty"`
	// Path, for HTTP; /v1/traces if unset.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path,omitempty"`
	// Share of requests without a trace of their own that get one, as CEL.
	RandomSampling CELExpression `json:"randomSampling,omitempty"`
	// Share of requests with a sampled trace that keep it, as CEL.
	ClientSampling CELExpression `json:"clientSampling,omitempty"`
	// Which spans, by CEL; all if unset.
	Filter CELExpression `json:"filter,omitempty"`
	// Fields.
	Attributes *LogAttributes `json:"attributes,omitempty"`
	// Resource attributes.
	Resources []NamedExpression `json:"resources,omitempty"`
}

// FrontendMetrics changes the labels of metrics.
type FrontendMetrics struct {
	// Labels.
	Attributes MetricAttributes `json:"attributes"`
}

// MetricAttributes adds labels.
//
// +kubebuilder:validation:AtLeastOneOf=add
type MetricAttributes struct {
	// Labels added to every metric of requests.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	Add []NamedExpression `json:"add,omitempty"`
}
