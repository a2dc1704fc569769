// Package drill_test runs drills over gateways that ask something of their
// clients: the probers enter them as clients do, by real processes.
package drill_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/test/simulators/authority"
	"github.com/navehq/nave/test/standalone"
)

const root = "../.."

func TestMain(m *testing.M) {
	if out, err := exec.Command("make", "-s", "-C", root, "build-test").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, out)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// files are a fleet whose only gateway has TLS, and asks for a key and for who
// shows it. One route leads to a backend that names no model, one to one that
// does, and one refuses everybody, the prober too.
const files = `-- hub/fleet.yaml
apiVersion: nave.dev/v1alpha1
kind: Cluster
metadata: {name: east}
spec: {region: eastus}
---
apiVersion: nave.dev/v1alpha1
kind: Cluster
metadata: {name: west}
spec: {region: westus2}
---
apiVersion: nave.dev/v1alpha1
kind: Drill
metadata: {name: without-west}
spec:
  target: {kind: Cluster, name: west}
  mode: Cordon
  duration: 5s
  minTraffic: {sharePercent: 50}
  expectations: {maxFailed: 0, maxLost: 0}
-- hub/hosts.yaml
hosts:
- {host: api.openai.com, port: 443, address: 127.0.0.1:MODEL-PORT, plaintext: true}
-- clusters/east/processes.yaml
processes:
- name: model
  command: [model-sim, -name, model, -listen, 127.0.0.1:MODEL-PORT, -keys, key-of-openai]
  ready: {tcp: 127.0.0.1:MODEL-PORT}
-- clusters/east/gateway.yaml
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: ns}
spec:
  gatewayClassName: nave
  listeners:
  - {name: tls, protocol: HTTPS, port: 8443, hostname: "*.example.com", tls: {certificateRefs: [{name: pair}]}}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: clients, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]
  traffic:
    apiKeyAuthentication: {secretRef: {name: clients}, location: {header: {name: x-client}}}
    authorization: {action: Require, policy: {matchExpressions: ['apiKey.team == "sre"']}}
---
apiVersion: v1
kind: Secret
metadata: {name: clients, namespace: ns}
stringData:
  alice: the-key-of-alice
  nave-prober: '{"key": "the-key-of-the-prober", "metadata": {"team": "sre"}}'
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: models, namespace: ns}
spec:
  parentRefs: [{name: g}]
  hostnames: [models.example.com]
  rules:
  - backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: any}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: chat, namespace: ns}
spec:
  parentRefs: [{name: g}]
  rules:
  - backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: named}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: nobody, namespace: ns}
spec:
  parentRefs: [{name: g}]
  hostnames: [nobody.example.com]
  rules:
  - backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: named}]
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: nobody, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: nobody}]
  traffic: {authorization: {action: Deny, policy: {matchExpressions: ['true']}}}
---
apiVersion: nave.dev/v1alpha1
kind: FailoverPolicy
metadata: {name: west-first, namespace: ns}
spec:
  targetRefs:
  - {group: agentgateway.dev, kind: AgentgatewayBackend, name: any}
  - {group: agentgateway.dev, kind: AgentgatewayBackend, name: named}
  order: {by: Region, regions: [westus2, eastus]}
  failback: {stabilizationWindow: 1s}
`

// backends are declared in both clusters.
const backends = `apiVersion: v1
kind: Secret
metadata: {name: openai, namespace: ns}
stringData: {Authorization: key-of-openai}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: any, namespace: ns}
spec:
  ai: {provider: {openai: {}}}
  policies: {auth: {secretRef: {name: openai}}}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: named, namespace: ns}
spec:
  ai: {provider: {openai: {model: gpt-4o-mini}}}
  policies: {auth: {secretRef: {name: openai}}}
`

func fleet(t *testing.T) *standalone.Fleet {
	t.Helper()
	dir, err := os.MkdirTemp("", "nave-drill-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	free, err := standalone.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	all := files + "-- clusters/east/pair.yaml\n" + pair(t) + "-- clusters/east/backends.yaml\n" + backends + "-- clusters/west/backends.yaml\n" + backends
	for _, part := range strings.Split(strings.TrimPrefix(strings.ReplaceAll(all, "MODEL-PORT", free[0]), "-- "), "\n-- ") {
		name, text, _ := strings.Cut(part, "\n")
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bin, err := filepath.Abs(root + "/bin")
	if err != nil {
		t.Fatal(err)
	}
	f, err := standalone.Start(standalone.Options{Bin: bin, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.End(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("`nave up` printed:\n%s", standalone.Tail(f.Log(), 20))
			logs, _ := filepath.Glob(filepath.Join(dir, ".nave", "logs", "*"))
			for _, l := range logs {
				t.Logf("%s:\n%s", filepath.Base(l), standalone.Tail(l, 8))
			}
		}
	})
	return f
}

// pair is the gateway's certificate, of an authority that nobody else knows.
func pair(t *testing.T) string {
	t.Helper()
	a, err := authority.New("gateways")
	if err != nil {
		t.Fatal(err)
	}
	config, err := a.Serve("*.example.com")
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(config.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	indent := func(kind string, raw []byte) string {
		text := string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}))
		return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
	}
	return "apiVersion: v1\nkind: Secret\nmetadata: {name: pair, namespace: ns}\ntype: kubernetes.io/tls\nstringData:\n" +
		"  tls.crt: |\n" + indent("CERTIFICATE", config.Certificates[0].Certificate[0]) + "  tls.key: |\n" + indent("PRIVATE KEY", key)
}

// TestClosedDoors: a drill over such a gateway sees its requests served before
// the loss, during it and after it.
func TestClosedDoors(t *testing.T) {
	f := fleet(t)
	if _, err := f.Wait(t.Context(), standalone.Expected{Clusters: 2}); err != nil {
		t.Fatal(err)
	}
	var status v1alpha1.DrillStatus
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if _, err := f.Nave(t.Context(), "drill", "start", "without-west"); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(2 * time.Minute); status.Phase != v1alpha1.DrillPhaseDone; time.Sleep(200 * time.Millisecond) {
		status = v1alpha1.DrillStatus{}
		if err := f.JSON(t.Context(), &status, "drill", "report", "without-west"); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatalf("it does not end: %+v", status)
		}
	}
	if status.Verdict != v1alpha1.VerdictPass || status.Report == nil {
		t.Fatalf("the verdict is %s: %v\n%+v", status.Verdict, status.Findings, status.Timeline)
	}
	if r := status.Report.Requests; r.OK < 100 || r.Failed+r.Lost > 0 {
		t.Errorf("requests: %+v", r)
	}
	// The target is cordoned for 5 s, during which nothing goes there.
	for what, took := range map[string]*metav1.Duration{"detect": status.Report.TimeToDetect, "shift": status.Report.TimeToShift, "fail back": status.Report.TimeToFailback} {
		most := 5 * time.Second
		if what == "fail back" {
			most = 30 * time.Second
		}
		if took == nil || took.Duration < 0 || took.Duration > most {
			t.Errorf("the time to %s is told as %v, want at most %s\n%+v", what, took, most, status.Timeline)
		}
	}
	if status.Report.SharePercentBefore < 50 || status.Report.MaxLatency == nil {
		t.Errorf("before: %d %%; the slowest: %v", status.Report.SharePercentBefore, status.Report.MaxLatency)
	}
}
