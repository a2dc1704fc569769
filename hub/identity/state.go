package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/navehq/nave/api/pki"
)

// state is all that the authority keeps. It holds the root's key.
type state struct {
	Fleet    string                `json:"fleet"`
	Root     json.RawMessage       `json:"root"` // pki.Credentials
	Tokens   pki.Grants            `json:"tokens,omitempty"`
	Clusters map[string]member     `json:"clusters,omitempty"`
	Ended    map[string]revocation `json:"revoked,omitempty"` // by id

	root pki.Issuer
}

// member is a cluster that has joined.
type member struct {
	UID      string    `json:"uid"`
	Key      string    `json:"key"` // hash of the intermediate's
	Serial   string    `json:"serial"`
	Joined   time.Time `json:"joined"`
	NotAfter time.Time `json:"notAfter"`
	// Before are the UIDs of earlier joinings.
	Before []string `json:"before,omitempty"`
}

type revocation struct {
	What string    `json:"what"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
}

func newState(fleet string, root pki.Issuer) state { return state{Fleet: fleet, root: root} }

func (s state) encode() ([]byte, error) {
	key, ok := s.root.Key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("keeping the authority: the root's key is not Ed25519")
	}
	certs := []*x509.Certificate{s.root.Certificate}
	root, err := pki.Credentials{Key: key, Chain: certs, Roots: certs}.Encode()
	if err != nil {
		return nil, err
	}
	s.Root = root
	return json.Marshal(s)
}

func parseState(blob []byte) (state, error) {
	var s state
	if json.Unmarshal(blob, &s) != nil {
		return state{}, errors.New("reading the authority: not the JSON that was written")
	}
	root, err := pki.ParseCredentials(s.Root)
	if err != nil {
		return state{}, fmt.Errorf("reading the authority: %w", err)
	}
	s.root = root.Issuer()
	return s, nil
}

func (s state) clone() state {
	s.Tokens = maps.Clone(s.Tokens)
	s.Clusters = maps.Clone(s.Clusters)
	s.Ended = maps.Clone(s.Ended)
	return s
}

// admit notes the certificate that a cluster has from now on.
func (s *state) admit(cluster, uid string, cert *x509.Certificate, now time.Time) {
	old, was := s.Clusters[cluster]
	m := member{UID: uid, Key: pki.KeyHash(cert), Serial: pki.Serial(cert), Joined: now, NotAfter: cert.NotAfter, Before: old.Before}
	if was && old.UID == uid {
		m.Joined = old.Joined
	} else if was {
		m.Before = append(slices.Clone(old.Before), old.UID)
	}
	if s.Clusters == nil {
		s.Clusters = map[string]member{}
	}
	s.Clusters[cluster] = m
}

func (s *state) known(id pki.Identity) error {
	m, ok := s.Clusters[id.Cluster]
	switch {
	case id.Role != pki.Spoke || !ok || m.UID != id.UID:
		return fmt.Errorf("%q: %w", id.Name, ErrUnknown)
	case s.revoked().Has(id.UID, id.Serial):
		return fmt.Errorf("%q: %w", id.Name, pki.ErrRevoked)
	}
	return nil
}

var serialNumber = regexp.MustCompile(`^[0-9a-f]{16,40}$`)

// idsOf says what to revoke for a cluster's name or a serial number.
func (s *state) idsOf(what string) ([]string, error) {
	if m, ok := s.Clusters[what]; ok {
		return append(slices.Clone(m.Before), m.UID), nil
	}
	if serial := strings.ToLower(what); serialNumber.MatchString(serial) {
		return []string{serial}, nil
	}
	return nil, errors.New("neither a cluster that has joined nor a serial number")
}

func (s *state) revoke(ids []string, what, by string, now time.Time) []string {
	if s.Ended == nil {
		s.Ended = map[string]revocation{}
	}
	var added []string
	for _, id := range ids {
		if _, ok := s.Ended[id]; !ok {
			s.Ended[id] = revocation{what, by, now}
			added = append(added, id)
		}
	}
	return added
}

func (s *state) revoked() pki.Revoked {
	return slices.Sorted(maps.Keys(s.Ended))
}
