package translate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/v1alpha1"
)

// certify resolves the certificates of an HTTPS listener. What is left serves;
// with none the listener does not.
func (s *schema) certify(l *derive.Look, r ref, spec *gwv1.Listener, path string, x *listenerState) {
	for i, c := range spec.TLS.CertificateRefs {
		field := fmt.Sprintf("%s.tls.certificateRefs[%d]", path, i)
		n, f := s.certificate(l, r, c)
		if f != nil {
			f.field = field
			x.unresolved(*f)
			continue
		}
		x.certificates = append(x.certificates, n)
	}
}

func (s *schema) certificate(l *derive.Look, r ref, c gwv1.SecretObjectReference) (node, *fault) {
	key := objects.Key{Kind: kindSecret, Namespace: r.Namespace, Name: string(c.Name)}
	if c.Namespace != nil {
		key.Namespace = string(*c.Namespace)
	}
	group, kind := deref(c.Group, ""), deref(c.Kind, kindSecret)
	invalidRef := string(gwv1.ListenerReasonInvalidCertificateRef)
	switch {
	case group != "" || kind != kindSecret:
		return node{}, &fault{reason: invalidRef, message: fmt.Sprintf("kind %s holds no certificate", kind), remedy: "refer to a Secret"}
	case key.Namespace != r.Namespace && !s.granted(l, r.cluster, objects.GroupGateway, kindGateway, r.Namespace, key):
		return node{}, &fault{reason: string(gwv1.ListenerReasonRefNotPermitted), message: "no ReferenceGrant permits " + key.String(),
			remedy: "declare one in namespace " + key.Namespace}
	case r.cluster != s.options.Cluster:
		return node{}, &fault{reason: v1alpha1.ReasonSecretNotSealed, message: key.String() + " stays in cluster " + r.cluster,
			remedy: "place the Gateway without HTTPS listeners"}
	}
	_, secret, ok := get[*corev1.Secret](s, l, ref{r.cluster, key})
	if !ok {
		return node{}, &fault{reason: invalidRef, message: key.String() + " is not found", remedy: "declare it"}
	}
	if err := checkPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return node{}, &fault{reason: invalidRef, message: fmt.Sprintf("%s: %v", key, err), remedy: "put a PEM pair into tls.crt and tls.key"}
	}
	return secretNode(usePair, key, ""), nil
}

func deref[T ~string](p *T, unset string) string {
	if p == nil {
		return unset
	}
	return string(*p)
}

// checkPair tells whether a certificate and a private key are PEM and belong
// together, as proxies do: its verdict is that of tls.X509KeyPair.
func checkPair(certificate, key []byte) error {
	block := blockOf(certificate, func(kind string) bool { return kind == "CERTIFICATE" })
	if block == nil {
		return errors.New("tls.crt holds no PEM block of type CERTIFICATE")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("tls.crt is no certificate: %w", err)
	}
	block = blockOf(key, func(kind string) bool { return kind == "PRIVATE KEY" || strings.HasSuffix(kind, " PRIVATE KEY") })
	if block == nil {
		return errors.New("tls.key holds no PEM block of type PRIVATE KEY")
	}
	k := parseKey(block.Bytes)
	if k == nil {
		return errors.New("tls.key is no private key that is known, or is encrypted")
	}
	public, ok := k.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(c.PublicKey) {
		return errors.New("tls.key does not belong to tls.crt")
	}
	return nil
}

// blockOf finds the first PEM block of a type.
func blockOf(data []byte, is func(kind string) bool) *pem.Block {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if is(block.Type) {
			return block
		}
	}
	return nil
}

func parseKey(der []byte) crypto.Signer {
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k
	}
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		switch k := k.(type) {
		case *rsa.PrivateKey:
			return k
		case *ecdsa.PrivateKey:
			return k
		case ed25519.PrivateKey:
			return k
		}
		return nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k
	}
	return nil
}

// checkCA tells whether data holds at least one certificate that proxies read.
func checkCA(data []byte) bool {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err == nil {
			return true
		}
	}
	return false
}
