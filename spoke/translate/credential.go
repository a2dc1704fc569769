package translate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// The entries of a Secret that hold a key where none is named.
const (
	entryAuthorization = "Authorization"
	entryAPIKey        = "api-key"
)

// credential is how a member proves itself, with the secrets it takes.
func (s *schema) credential(l *derive.Look, r ref, m *declaredMember, auth *agentgateway.BackendAuth) (*table.Auth, []node, *fault) {
	switch {
	case auth == nil && m.ambient:
		return &table.Auth{Kind: table.AuthAzureAmbient}, nil, nil
	case auth == nil:
		return nil, nil, nil
	}
	out := &table.Auth{Kind: table.AuthKey}
	if auth.Location != nil {
		out.Location = insertAt(auth.Location)
	}
	switch {
	case auth.Passthrough != nil:
		out.Kind = table.AuthPassthrough
		return out, nil, nil
	case auth.Azure != nil:
		return s.azureCredential(l, r, auth.Azure)
	case auth.Key != "":
		n := secretNode(useInline, r.Key, m.path)
		out.Secret, out.Key = n.id.Name, entryAuthorization
		return out, []node{n}, nil
	case auth.SecretRef != nil:
		key, entry, f := s.entry(l, r, auth.SecretRef)
		if f != nil {
			return nil, nil, f
		}
		n := secretNode(useCredential, key, entry)
		out.Secret, out.Key = n.id.Name, entry
		return out, []node{n}, nil
	}
	return nil, nil, &fault{reason: v1alpha1.ReasonUnsupportedField, message: "its kind of credential is not built yet", remedy: "use secretRef"}
}

func insertAt(i *agentgateway.InsertLocation) *table.Location {
	switch {
	case i.Header != nil:
		return &table.Location{Header: string(i.Header.Name), Prefix: string(i.Header.Prefix)}
	case i.QueryParameter != nil:
		return &table.Location{Query: string(i.QueryParameter.Name)}
	case i.Cookie != nil:
		return &table.Location{Cookie: string(i.Cookie.Name)}
	}
	return nil
}

// secretKey is the Secret that is referred to; credentials are in no other kind.
func secretKey(from ref, c agentgateway.CredentialRef) (objects.Key, *fault) {
	key := objects.Key{Kind: kindSecret, Namespace: from.Namespace, Name: c.Name}
	if kind := cmp.Or(c.Kind, kindSecret); kind != kindSecret || c.Group != "" {
		return key, &fault{reason: v1alpha1.ReasonUnsupportedField, message: strings.TrimSuffix("credentials of kind "+kind+"."+c.Group, ".") + " are not built yet",
			remedy: "use a Secret"}
	}
	return key, nil
}

// entry finds a Secret's entry: the one that is named, else Authorization, else
// api-key, else the only one.
func (s *schema) entry(l *derive.Look, r ref, c *agentgateway.CredentialRefWithKey) (objects.Key, string, *fault) {
	key, f := secretKey(r, c.CredentialRef)
	if f != nil {
		return key, "", f
	}
	if r.cluster != s.options.Cluster {
		return key, "", &fault{reason: v1alpha1.ReasonSecretNotSealed, message: key.String() + " stays in cluster " + r.cluster}
	}
	_, secret, ok := get[*corev1.Secret](s, l, ref{r.cluster, key})
	if !ok {
		return key, "", &fault{reason: v1alpha1.ReasonSecretNotFound, message: key.String() + " is not found", remedy: "declare it with the provider's key"}
	}
	candidates := []string{entryAuthorization, entryAPIKey}
	if c.Key != "" {
		candidates = []string{c.Key}
	} else if len(secret.Data) == 1 {
		candidates = slices.AppendSeq(candidates, maps.Keys(secret.Data))
	}
	for _, e := range candidates {
		if len(strings.TrimSpace(string(secret.Data[e]))) > 0 {
			return key, e, nil
		}
	}
	return key, "", &fault{reason: v1alpha1.ReasonSecretNotFound, message: fmt.Sprintf("%s has no entry %s", key, strings.Join(candidates, " or ")),
		remedy: "put the provider's key there"}
}

// azureEntries are what a client secret needs.
var azureEntries = []string{"clientID", "tenantID", "clientSecret"}

func (s *schema) azureCredential(l *derive.Look, r ref, a *agentgateway.AzureAuth) (*table.Auth, []node, *fault) {
	out := &table.Auth{Kind: table.AuthAzureAmbient}
	switch {
	case a.SecretRef != nil:
		key, f := secretKey(r, *a.SecretRef)
		if f != nil {
			return nil, nil, f
		}
		_, secret, ok := get[*corev1.Secret](s, l, ref{r.cluster, key})
		if !ok {
			return nil, nil, &fault{reason: v1alpha1.ReasonSecretNotFound, message: key.String() + " is not found",
				remedy: "declare it with the entries " + strings.Join(azureEntries, ", ")}
		}
		for _, e := range azureEntries {
			if len(secret.Data[e]) == 0 {
				return nil, nil, &fault{reason: v1alpha1.ReasonSecretNotFound, message: fmt.Sprintf("%s has no entry %s", key, e), remedy: "add it"}
			}
		}
		n := secretNode(useAzure, key, "")
		out.Secret, out.Azure = n.id.Name, &table.AzureAuth{Type: "ClientSecret"}
		return out, []node{n}, nil
	case a.ManagedIdentity != nil:
		i := a.ManagedIdentity
		out.Azure = &table.AzureAuth{Type: "ManagedIdentity", ClientID: i.ClientID, ObjectID: i.ObjectID, ResourceID: i.ResourceID}
	case a.WorkloadIdentity != nil:
		out.Azure = &table.AzureAuth{Type: "WorkloadIdentity"}
	}
	return out, nil, nil
}

// pieceOfSecret hands out what a proxy needs of a Secret or ConfigMap, and no
// more than that.
func (s *schema) pieceOfSecret(l *derive.Look, n node) piece {
	out := &table.Secret{Name: n.id.Name, Data: map[string][]byte{}}
	at := ref{s.options.Cluster, n.key}
	switch use(n) {
	case useSession:
		keys, ok := s.keys.Get(l, n.table)
		if !ok {
			return piece{}
		}
		out.Data = keys
		return piece{resource: out}
	case useInline:
		if key := s.inlineKey(l, at, n.entry); key != "" {
			out.Data[entryAuthorization] = []byte(key)
		}
		return piece{resource: out}
	case useCA:
		if n.key.Kind == kindTLSPolicy {
			out.Data["ca.crt"] = s.bundle(l, at)
			return piece{resource: out}
		}
		if o, ok := s.objects.Get(l, at); ok {
			out.Data["ca.crt"] = caOf(o)
		}
		return piece{resource: out}
	}
	_, secret, ok := get[*corev1.Secret](s, l, at)
	if !ok {
		return piece{}
	}
	switch use(n) {
	case useCredential:
		out.Data[n.entry] = bare(n.entry, secret.Data[n.entry])
	case usePair:
		out.Data[corev1.TLSCertKey], out.Data[corev1.TLSPrivateKeyKey] = secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	case useAzure:
		for _, e := range azureEntries {
			out.Data[e] = secret.Data[e]
		}
	case useKeys:
		out.Data = secret.Data
	}
	return piece{resource: out}
}

// bare is a credential without white space around it and, in the entry
// Authorization, without a leading Bearer.
func bare(entry string, value []byte) []byte {
	text := strings.TrimSpace(string(value))
	if entry == entryAuthorization {
		text = strings.TrimSpace(strings.TrimPrefix(text, "Bearer "))
	}
	return []byte(text)
}

// inlineKey is a key that stands in a backend's or policy's own declaration.
func (s *schema) inlineKey(l *derive.Look, at ref, path string) string {
	if at.Kind == kindPolicy {
		_, p, ok := get[*agentgateway.AgentgatewayPolicy](s, l, at)
		if ok && p.Spec.Backend != nil && p.Spec.Backend.Auth != nil {
			return bareKey(p.Spec.Backend.Auth)
		}
		return ""
	}
	for _, g := range s.declared.Get(l, at).groups {
		for _, m := range g {
			if m.path == path && m.auth != nil {
				return bareKey(m.auth)
			}
		}
	}
	return ""
}

func bareKey(a *agentgateway.BackendAuth) string {
	return string(bare(entryAuthorization, []byte(a.Key)))
}
