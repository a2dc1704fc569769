package translate_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/spoke/translate"
)

// nack is a proxy's refusal of a resource as it stands.
func nack(t *testing.T, tr translate.Translator, id table.ID) translate.Nack {
	t.Helper()
	tab, _, _ := tr.Table("ns/g")
	data, err := table.Encode(tab.Get(id))
	if err != nil {
		t.Fatal(err)
	}
	return translate.Nack{ID: id, Hash: stream.HashOf(data), Error: "no good"}
}

func TestARefusedStandInNeverBringsTheOriginalBack(t *testing.T) {
	tr := many(t, 2)
	id := table.ID{Kind: table.KindRule, Name: "HTTPRoute ns/r1/0"}
	for i, want := range []string{"RefusedByProxy: no good", "RefusedByProxy", "RefusedByProxy"} {
		tr, _ = tr.Refuse([]translate.Nack{nack(t, tr, id)})
		tab, _, _ := tr.Table("ns/g")
		rule := tab.Get(id).(*table.Rule)
		if rule.Closed != want || len(rule.Backends) != 0 || len(rule.Binds) != 1 {
			t.Errorf("refused %d times the rule is\n%s", i+1, table.Line(rule))
		}
		if i > 0 && (len(rule.Matches) != 1 || rule.Matches[0].Path != table.ValueMatch{Type: table.Prefix, Value: "/"}) {
			t.Errorf("refused %d times the rule still matches %v", i+1, rule.Matches)
		}
	}
	tr, _ = tr.Refuse([]translate.Nack{{ID: id}})
	tab, _, _ := tr.Table("ns/g")
	if rule := tab.Get(id).(*table.Rule); rule.Closed != "" {
		t.Errorf("taken back, the rule is closed: %s", rule.Closed)
	}
}

// pairOf is a PEM certificate of a key, and the key.
func pairOf(t *testing.T, kind, keyKind string, key any) (certificate, private []byte) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	var public any
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		public = k.Public()
	case *rsa.PrivateKey:
		public = k.Public()
	case ed25519.PrivateKey:
		public = k.Public()
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: keyKind, Bytes: pkcs8})
}

func ecdsaKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// https is a Gateway with one HTTPS listener, and its Secret.
func https(t *testing.T, certificate, key []byte) []objects.Change {
	t.Helper()
	text := "apiVersion: v1\nkind: Secret\nmetadata: {name: c, namespace: ns}\nstringData:\n"
	for name, data := range map[string][]byte{"tls.crt": certificate, "tls.key": key} {
		text += fmt.Sprintf("  %s: %q\n", name, data)
	}
	text += `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: ns}
spec:
  gatewayClassName: nave
  listeners: [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}]
`
	return decode(t, text)
}

// empty is a translator that knows its tenants and nothing else.
func empty(t *testing.T) translate.Translator {
	t.Helper()
	tr, _ := translate.New(translate.Options{Cluster: here, Region: here, Standalone: true}).Apply(nil,
		readAssignment(t, []byte(`[{fleet: {}}, {tenant: {name: default, all: true}}]`)))
	return tr
}

func TestAPairIsGoodIfAProxyTakesIt(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var certificates, keys [][]byte
	for _, key := range []any{ecdsaKey(t), rsaKey, edKey} {
		for _, kinds := range [][2]string{{"CERTIFICATE", "PRIVATE KEY"}, {"TRUSTED CERTIFICATE", "EC PRIVATE KEY"}, {"X509 CERTIFICATE", "KEY"}} {
			c, k := pairOf(t, kinds[0], kinds[1], key)
			certificates, keys = append(certificates, c), append(keys, k)
		}
	}
	ec, err := x509.MarshalECPrivateKey(ecdsaKey(t))
	if err != nil {
		t.Fatal(err)
	}
	keys = append(keys, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ec}), append(keys[0], keys[3]...), append(keys[2], keys[0]...), nil, []byte("-----BEGIN"))
	certificates = append(certificates, append(certificates[0], certificates[3]...), append(certificates[1], certificates[0]...), nil,
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("none")}))
	taken := 0
	for i, c := range certificates {
		for j, k := range keys {
			_, err := tls.X509KeyPair(c, k)
			tr, _ := empty(t).Apply(https(t, c, k), nil)
			tab, _, _ := tr.Table("ns/g")
			if served := table.Find[*table.Listener](tab, "ns/g/https") != nil; served != (err == nil) {
				t.Errorf("certificate %d with key %d: served %v, and a proxy says %v", i, j, served, err)
			} else if served {
				taken++
			}
		}
	}
	if taken < 3 {
		t.Errorf("only %d pairs are good", taken)
	}
}

func TestAListenerIsTriedAnewWithAnotherCertificate(t *testing.T) {
	key := ecdsaKey(t)
	c, k := pairOf(t, "CERTIFICATE", "PRIVATE KEY", key)
	tr, _ := empty(t).Apply(https(t, c, k), nil)
	id := table.ID{Kind: table.KindListener, Name: "ns/g/https"}
	tr, _ = tr.Refuse([]translate.Nack{nack(t, tr, id)})
	if tab, _, _ := tr.Table("ns/g"); tab.Get(id) != nil {
		t.Fatal("a refused listener is still there")
	}
	c, k = pairOf(t, "CERTIFICATE", "PRIVATE KEY", ecdsaKey(t))
	tr, _ = tr.Apply(https(t, c, k), nil)
	if tab, _, _ := tr.Table("ns/g"); tab.Get(id) == nil || len(tr.Problems()) != 0 {
		t.Errorf("with another certificate it is still refused: %v", tr.Problems())
	}
}

func TestWhatIsTooLargeIsClosedByName(t *testing.T) {
	large := strings.Repeat("\u2028", stream.MaxPayload/4) // six bytes each where it is sent, three in the document
	tr := many(t, 1)
	tr, _ = tr.Apply(decode(t, fmt.Sprintf(`
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: large, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r0}]
  traffic: {authorization: {action: Deny, policy: {matchExpressions: ['request.path == "%s"']}}}
`, large)), nil)
	tab, _, _ := tr.Table("ns/g")
	for r := range tab.All() {
		if data, err := table.Encode(r); err != nil || len(data) > stream.MaxPayload {
			t.Errorf("%s cannot be sent: %d bytes, %v", r.ID(), len(data), err)
		}
	}
	policy := table.Find[*table.Policy](tab, "AgentgatewayPolicy ns/large")
	if policy == nil || !strings.Contains(policy.Closed, "bytes, of at most") {
		t.Fatalf("the policy is %.200v", policy)
	}
	told := false
	for _, p := range tr.Problems() {
		told = told || p.Reason == "TooLarge" && p.Object == "AgentgatewayPolicy ns/large" && p.Remedy != ""
	}
	if !told {
		t.Error("nobody is told")
	}
}
