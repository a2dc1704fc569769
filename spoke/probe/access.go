package probe

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"strings"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/apikey"
)

// ownKey is the entry of a policy's Secrets whose key the prober shows. It never
// shows another client's: what it does would be counted as theirs.
const ownKey = "nave-prober"

// door is how a listener is entered.
type door struct {
	bases []string
	tls   bool
	// leaves are what the listener shows of its certificates, trust all of them
	// in PEM.
	leaves []*x509.Certificate
	trust  []byte
}

func doorOf(t table.Table, l *table.Listener, proxies []map[string][]string) door {
	d := door{tls: l.Protocol == table.ProtocolHTTPS}
	for _, p := range proxies {
		d.bases = append(d.bases, p[l.Section]...)
	}
	for _, name := range l.Certificates {
		s := table.Find[*table.Secret](t, name)
		if s == nil {
			continue
		}
		block, _ := pem.Decode(s.Data["tls.crt"])
		if block == nil {
			continue
		}
		if leaf, err := x509.ParseCertificate(block.Bytes); err == nil {
			d.leaves = append(d.leaves, leaf)
			d.trust = append(append(d.trust, s.Data["tls.crt"]...), '\n')
		}
	}
	return d
}

// host is the name to enter by, under one of a rule's hostnames; "" is the
// address itself. A name that no certificate is for is none that a client has.
func (d *door) host(hostnames []string) (string, bool) {
	for _, h := range hostnames {
		if !d.tls {
			return aName(h), true
		}
		for _, leaf := range d.leaves {
			names := leaf.DNSNames
			if h != "" {
				names = []string{h}
			}
			for _, n := range names {
				if n = aName(n); leaf.VerifyHostname(n) == nil {
					return n, true
				}
			}
		}
	}
	return "", false
}

func aName(hostname string) string { return strings.Replace(hostname, "*.", "probe.", 1) }

// identify has the target show the prober's key where the policy asks for one;
// it is false where a key is required and none is the prober's.
func (t *Target) identify(tab table.Table, p *table.APIKey) bool {
	if p == nil {
		return true
	}
	key := keyOf(tab, p)
	if key == "" {
		return p.Mode != table.Strict
	}
	switch at := apikey.Normal(p.Location); {
	case at.Header != "":
		t.header(at.Header, at.Prefix+key)
	case at.Query != "":
		t.Query = url.Values{at.Query: {key}}
	default:
		t.header("Cookie", at.Cookie+"="+key)
	}
	return true
}

// keyOf is the prober's key, "" for none.
func keyOf(t table.Table, p *table.APIKey) string {
	for _, name := range p.Secrets {
		s := table.Find[*table.Secret](t, name)
		if s == nil {
			continue
		}
		text := strings.TrimSpace(string(s.Data[ownKey]))
		if !strings.HasPrefix(text, "{") {
			if text != "" {
				return text
			}
			continue
		}
		var entry struct {
			Key string `json:"key"`
		}
		if json.Unmarshal([]byte(text), &entry) == nil && entry.Key != "" {
			return entry.Key
		}
	}
	return ""
}

func (t *Target) header(name, value string) {
	if t.Header == nil {
		t.Header = map[string]string{}
	}
	t.Header[name] = value
}
