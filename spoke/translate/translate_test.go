package translate_test

import (
	"slices"
	"strings"
	"testing"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/spoke/translate"
)

var gateway = objects.Key{Group: objects.GroupGateway, Kind: "Gateway", Namespace: "ns", Name: "g"}

func gatewayStatus(t *testing.T, tr translate.Translator) *gwv1.GatewayStatus {
	t.Helper()
	for _, s := range tr.Statuses() {
		if s.Key == gateway {
			return s.Value.(*gwv1.GatewayStatus)
		}
	}
	t.Fatal("no status is owed to the Gateway")
	return nil
}

func condition(t *testing.T, s *gwv1.GatewayStatus, kind string) string {
	t.Helper()
	for _, c := range s.Conditions {
		if c.Type == kind {
			return string(c.Status) + " " + c.Reason + ": " + c.Message
		}
	}
	return ""
}

func TestObserveTellsWhetherProxiesObey(t *testing.T) {
	tr := many(t, 1)
	for _, c := range []struct {
		reason string
		facts  translate.Facts
		want   string
	}{
		{"none has acknowledged", translate.Facts{Proxies: 2}, "False Pending: 0 of 2 proxies obey it"},
		{"some have", translate.Facts{Proxies: 2, Programmed: 1}, "True Programmed: 1 of 2 proxies obey it"},
		{"one refuses", translate.Facts{Proxies: 2, Error: "rule x: bad"}, "False Invalid: rule x: bad"},
		{"all have, and are reached", translate.Facts{Proxies: 2, Programmed: 2, Addresses: []string{"127.1.0.1", "gw.example.com"}}, "True Programmed: 2 of 2 proxies obey it"},
	} {
		var result translate.Result
		tr, result = tr.Observe(map[string]translate.Facts{"ns/g": c.facts})
		if got := condition(t, gatewayStatus(t, tr), "Programmed"); got != c.want {
			t.Errorf("%s: Programmed is %q, want %q", c.reason, got, c.want)
		}
		if len(result.Tables) != 0 {
			t.Errorf("%s: tables change: %v", c.reason, result.Tables)
		}
	}
	addresses := gatewayStatus(t, tr).Addresses
	if len(addresses) != 2 || *addresses[0].Type != gwv1.IPAddressType || *addresses[1].Type != gwv1.HostnameAddressType {
		t.Errorf("addresses are %+v", addresses)
	}
	tr, _ = tr.Forget("ns/g")
	if got := condition(t, gatewayStatus(t, tr), "Programmed"); got != "False Pending: 0 of 1 proxies obey it" {
		t.Errorf("forgotten: Programmed is %q", got)
	}
}

func TestSessionKeysReachTheTableOfTheirGateway(t *testing.T) {
	tr := many(t, 1)
	keys := map[string][]byte{"use": []byte("k1"), "k1": []byte(strings.Repeat("x", 32))}
	tr, result := tr.SetSessionKeys("ns/g", keys)
	tab, _, _ := tr.Table("ns/g")
	self := table.Find[*table.Self](tab, "self")
	secret := table.Find[*table.Secret](tab, self.SessionKeys)
	if secret == nil || string(secret.Data["use"]) != "k1" || len(result.Tables["ns/g"].Changes) != 2 {
		t.Fatalf("self names %q, which is %v, by %v", self.SessionKeys, secret, result.Tables)
	}
	keys["use"] = []byte("changed by the caller")
	if string(secret.Data["use"]) != "k1" {
		t.Error("the keys are shared with the caller")
	}
	tr, _ = tr.SetSessionKeys("ns/g", nil)
	tab, _, _ = tr.Table("ns/g")
	if self := table.Find[*table.Self](tab, "self"); self.SessionKeys != "" || tab.Get(secret.ID()) != nil {
		t.Error("the keys are still there")
	}
}

// TestAPortThatIsTaken: the remedy is all that there is to do, since a proxy
// tries the port only when it starts.
func TestAPortThatIsTaken(t *testing.T) {
	tr := many(t, 1)
	name := string(gatewayStatus(t, tr).Listeners[0].Name)
	tr, _ = tr.Observe(map[string]translate.Facts{"ns/g": {Proxies: 1, Programmed: 1, Elsewhere: map[string]string{name: "http://127.1.0.1:4"}}})
	told := func(p objects.Problem) bool {
		return p.Reason == "PortUnavailable" && strings.Contains(p.Message, "http://127.1.0.1:4") && strings.Contains(p.Remedy, "then the proxy, which starts again by itself")
	}
	if !slices.ContainsFunc(tr.Problems(), told) {
		t.Errorf("it tells %v", tr.Problems())
	}
}

func TestReached(t *testing.T) {
	backend := objects.Key{Group: objects.GroupAgentgateway, Kind: "AgentgatewayBackend", Namespace: "ns", Name: "b"}
	tr := many(t, 1)
	if !tr.Reached(backend) {
		t.Error("a backend with an attached route is not reached")
	}
	tr, _ = tr.Apply([]objects.Change{{Key: gateway}}, nil)
	if tr.Reached(backend) {
		t.Error("a backend is reached without a Gateway")
	}
}

func TestRefuseClosesUntilTheContentChanges(t *testing.T) {
	tr := many(t, 2)
	tab, _, _ := tr.Table("ns/g")
	id := table.ID{Kind: table.KindRule, Name: "HTTPRoute ns/r1/0"}
	data, err := table.Encode(tab.Get(id))
	if err != nil {
		t.Fatal(err)
	}
	tr, result := tr.Refuse([]translate.Nack{{ID: id, Hash: stream.HashOf(data), Error: "no good"}})
	tab, _, _ = tr.Table("ns/g")
	rule := tab.Get(id).(*table.Rule)
	if rule.Closed != "RefusedByProxy: no good" || len(rule.Backends) != 0 || len(rule.Binds) != 1 || len(result.Tables["ns/g"].Changes) != 1 {
		t.Errorf("the rule is\n%sby %v", table.Line(rule), result.Tables)
	}
	named := func(p objects.Problem) bool { return p.Reason == "RefusedByProxy" && p.Object == "HTTPRoute ns/r1" }
	if !slices.ContainsFunc(tr.Problems(), named) {
		t.Errorf("nobody is told: %v", tr.Problems())
	}
	tr, _ = tr.Apply(route(t, 1, "/other"), nil)
	tab, _, _ = tr.Table("ns/g")
	if rule := tab.Get(id).(*table.Rule); rule.Closed != "" || slices.ContainsFunc(tr.Problems(), named) {
		t.Errorf("a changed rule is still refused:\n%s%v", table.Line(rule), tr.Problems())
	}
}

func TestTheAssignmentThatWasServesOnWhenTheFleetChanges(t *testing.T) {
	tr := many(t, 1)
	before := show(t, tr, nil)
	_, result := tr.Apply(nil, []translate.AssignmentChange{put(&assignment.Fleet{Frozen: true}), put(&assignment.Peer{Cluster: here, Region: here})})
	if len(result.Tables)+len(result.Statuses)+len(result.Problems) != 0 {
		t.Errorf("what proxies do not see changes %+v", result)
	}
	if show(t, tr, nil) != before {
		t.Error("the old translator changed")
	}
}
