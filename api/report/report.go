// Package report holds the shapes of the JSON API, of the hub and of a spoke:
// what `nave status`, `latency` and the console show. They are a contract: add
// to them, rename nothing.
package report

import (
	"encoding/json"
	"time"

	"github.com/navehq/nave/api/objects"
)

// Status is the whole fleet at one instant.
type Status struct {
	// By is the cluster whose spoke says this, where it is not the hub that does:
	// of other clusters it knows neither the proxies nor when they were heard.
	By string `json:"by,omitempty"`
	// HubSilent: that spoke does not hear the hub. HubHeard is when it last did;
	// absent where it has not since it began.
	HubSilent bool      `json:"hubSilent,omitempty"`
	HubHeard  time.Time `json:"hubHeard,omitzero"`

	Clusters []Cluster         `json:"clusters"`
	Gateways []Gateway         `json:"gateways"`
	Routes   []Object          `json:"routes"`
	Backends []Object          `json:"backends"`
	Problems []objects.Problem `json:"problems"`
	Orders   []Order           `json:"orders,omitempty"`
	// History is what was ordered last, the oldest first.
	History []Ordered `json:"history,omitempty"`
}

// Cluster is one registered cluster.
type Cluster struct {
	Name   string `json:"name"`
	Region string `json:"region"`
	// Zone and Provider are as declared; a spoke that answers knows no provider.
	Zone     string `json:"zone,omitempty"`
	Provider string `json:"provider,omitempty"`
	Lease    string `json:"lease"`
	State    string `json:"state"`
	// Heard is when its spoke was last heard.
	Heard       time.Time `json:"heard,omitzero"`
	Version     string    `json:"version,omitempty"`
	Certificate time.Time `json:"certificateExpiry,omitzero"`
	Proxies     []Proxy   `json:"proxies,omitempty"`
	// Lag is since when it lacks its assignment, seconds.
	Lag float64 `json:"lagSeconds,omitempty"`
	// Hold says why an assignment is held.
	Hold string `json:"hold,omitempty"`
	// Drain is how far it has come while the cluster drains.
	Drain *Drain `json:"drain,omitempty"`
}

// Place is the region, and the zone if one is declared.
func (c Cluster) Place() string {
	if c.Zone == "" {
		return c.Region
	}
	return c.Region + ", zone " + c.Zone
}

// Drain is what a draining cluster still serves for others.
type Drain struct {
	// Complete is set once it is nothing.
	Complete bool `json:"complete"`
	// Sessions are MCP sessions, Requests those under way.
	Sessions int    `json:"sessions"`
	Requests int    `json:"requests"`
	Message  string `json:"message"`
}

// Proxy is one proxy.
type Proxy struct {
	ID       string `json:"id"`
	Gateway  string `json:"gateway,omitempty"`
	Home     string `json:"home,omitempty"`
	Ready    bool   `json:"ready"`
	Revision string `json:"revision,omitempty"`
	Error    string `json:"error,omitempty"`
}

// Gateway is one Gateway in one cluster, where it is declared or placed.
type Gateway struct {
	Cluster    string          `json:"cluster"`
	Home       string          `json:"home"`
	Namespace  string          `json:"namespace"`
	Name       string          `json:"name"`
	Listeners  []Listener      `json:"listeners"`
	Conditions json.RawMessage `json:"conditions,omitempty"`
}

// Listener is where one listener answers, at each proxy.
type Listener struct {
	Name string   `json:"name"`
	URLs []string `json:"urls"`
}

// Object is a declared object with its status.
type Object struct {
	Cluster   string          `json:"cluster"`
	Kind      string          `json:"kind"`
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Status    json.RawMessage `json:"status,omitempty"`
}

// The bounds of how long an order holds that ends by itself.
const (
	ShortestOrder = time.Second
	LongestOrder  = 366 * 24 * time.Hour
)

// Order is an order in force.
type Order struct {
	Kind    string    `json:"kind"`
	Cluster string    `json:"cluster,omitempty"`
	Who     string    `json:"who"`
	Why     string    `json:"why,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	// Since is when it was given.
	Since time.Time `json:"since,omitzero"`
	// Conditions are Complete, of a drain.
	Conditions json.RawMessage `json:"conditions,omitempty"`
}

// Done is what an order came to.
type Done struct {
	// Done is the verb that was ordered: cordon, uncordon, freeze.
	Done    string `json:"done"`
	Cluster string `json:"cluster,omitempty"`
	// State is the cluster's now, or the fleet's automation's.
	State string    `json:"state"`
	Why   string    `json:"why,omitempty"`
	Until time.Time `json:"until,omitzero"`
	// Ended are the orders that this one replaced or took back.
	Ended []Order `json:"ended"`
}

// Ordered is what a person or automation ordered, obeyed or refused.
type Ordered struct {
	At   time.Time `json:"at"`
	Who  string    `json:"who"`
	What string    `json:"what"`
	// On is the cluster or drill; "" is the fleet.
	On    string    `json:"on,omitempty"`
	Why   string    `json:"why,omitempty"`
	Until time.Time `json:"until,omitzero"`
	// Refused is why it was not done.
	Refused string `json:"refused,omitempty"`
}

// Path is one measured path between clusters.
type Path struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Measure string `json:"measure"`
	// RTT and Age are milliseconds and seconds.
	RTT  float64 `json:"rttMilliseconds"`
	Age  float64 `json:"ageSeconds"`
	Lost bool    `json:"lost,omitempty"`
}

// Explanation is why one proxy would choose what.
type Explanation struct {
	Cluster string `json:"cluster"`
	Proxy   string `json:"proxy,omitempty"`
	Text    string `json:"text"`
}
