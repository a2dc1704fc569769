package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/v1alpha1"
)

// Gateways are those that run in a cluster, with the URLs of all their proxies,
// and those that it declares, by name. A Gateway that is only placed there has no
// status of its own: its condition says what its proxies report.
func Gateways(cluster string, proxies []assignment.ProxyFacts, statuses []*assignment.Status) []Gateway {
	found := map[string]*Gateway{}
	urls := map[string]map[string][]string{}
	byGateway := map[string][]assignment.ProxyFacts{}
	for _, p := range proxies {
		if p.Gateway == "" {
			continue
		}
		byGateway[p.Gateway] = append(byGateway[p.Gateway], p)
		namespace, name, _ := strings.Cut(p.Gateway, "/")
		found[p.Gateway] = &Gateway{Cluster: cluster, Home: p.Home, Namespace: namespace, Name: name}
		if urls[p.Gateway] == nil {
			urls[p.Gateway] = map[string][]string{}
		}
		for listener, list := range p.Listeners {
			urls[p.Gateway][listener] = append(urls[p.Gateway][listener], list...)
		}
	}
	for _, x := range statuses {
		at := x.Key.Namespace + "/" + x.Key.Name
		if x.Key.Kind != "Gateway" {
			continue
		}
		if found[at] == nil {
			found[at] = &Gateway{Cluster: cluster, Home: cluster, Namespace: x.Key.Namespace, Name: x.Key.Name}
		}
		var status struct {
			Conditions json.RawMessage `json:"conditions"`
		}
		if json.Unmarshal(x.Value, &status) == nil {
			found[at].Conditions = status.Conditions
		}
	}
	out := []Gateway{}
	for _, at := range slices.Sorted(maps.Keys(found)) {
		g := *found[at]
		if g.Home != cluster {
			g.Conditions = programmed(byGateway[at])
		}
		g.Listeners = []Listener{}
		for _, listener := range slices.Sorted(maps.Keys(urls[at])) {
			slices.Sort(urls[at][listener])
			g.Listeners = append(g.Listeners, Listener{Name: listener, URLs: urls[at][listener]})
		}
		out = append(out, g)
	}
	return out
}

// programmed is the condition of that name, as a Gateway's proxies report it.
func programmed(proxies []assignment.ProxyFacts) json.RawMessage {
	ready, cause := 0, ""
	for _, p := range proxies {
		if p.Ready && p.Revision != "" {
			ready++
		}
		cause = cmp.Or(cause, p.Error)
	}
	c := condition{Type: v1alpha1.ConditionProgrammed, Status: "True", Reason: "Programmed", Message: fmt.Sprintf("%d of %d proxies obey it", ready, len(proxies))}
	switch {
	case cause != "":
		c.Status, c.Reason, c.Message = "False", "Invalid", cause
	case ready == 0:
		c.Status, c.Reason = "False", "Pending"
	}
	out, err := json.Marshal([]condition{c})
	if err != nil {
		return nil
	}
	return out
}

// condition is what is told of a metav1.Condition whose time nobody keeps.
type condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Objects are the routes and backends among the statuses of a cluster.
func Objects(cluster string, statuses []*assignment.Status) (routes, backends []Object) {
	routes, backends = []Object{}, []Object{}
	for _, x := range statuses {
		o := Object{Cluster: cluster, Kind: x.Key.Kind, Namespace: x.Key.Namespace, Name: x.Key.Name, Status: x.Value}
		switch {
		case strings.HasSuffix(x.Key.Kind, "Route"):
			routes = append(routes, o)
		case x.Key.Kind == "AgentgatewayBackend":
			backends = append(backends, o)
		}
	}
	return routes, backends
}

// Proxies are a cluster's as they report themselves; alive is false where
// nobody hears of the cluster any more.
func Proxies(list []assignment.ProxyFacts, alive bool) []Proxy {
	var out []Proxy
	for _, p := range list {
		out = append(out, Proxy{ID: p.ID, Gateway: p.Gateway, Home: p.Home, Ready: p.Ready && alive, Revision: p.Revision, Error: p.Error})
	}
	return out
}

// PathOf shows a sample.
func PathOf(s *assignment.Sample, now time.Time) Path {
	return Path{
		From: s.From, To: s.To, Measure: s.Measure, RTT: float64(s.RTT.Std().Microseconds()) / 1000,
		Age: max(0, now.Sub(s.At).Seconds()), Lost: s.Lost,
	}
}

// Line is a problem in one line, with its file as it is named from the fleet's
// folder, or its cluster where it is in no file.
func Line(p objects.Problem) string {
	if p.File == "" {
		return strings.TrimPrefix(p.Cluster+": ", ": ") + p.String()
	}
	p.File = inFolder(p)
	return p.String()
}

// File is the file that a problem is in as it is named from the fleet's folder,
// without the line; "" where it is in none.
func File(p objects.Problem) string {
	if p.File == "" {
		return ""
	}
	name := inFolder(p)
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		if _, err := strconv.Atoi(name[i+1:]); err == nil {
			return name[:i]
		}
	}
	return name
}

func inFolder(p objects.Problem) string {
	if p.Cluster == "" {
		return path.Join("hub", p.File)
	}
	return path.Join("clusters", p.Cluster, p.File)
}
