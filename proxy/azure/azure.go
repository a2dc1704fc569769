// Package azure gets access tokens for Azure by the identities that a proxy
// has: the ambient chain (workload identity first), a managed identity, or a
// client secret. Tokens are cached until shortly before their end by the
// library that gets them. It keeps nothing on disk and logs no token.
package azure

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/navehq/nave/api/table"
)

// Tokens are a proxy's identities at Azure. It is safe for concurrent use.
type Tokens struct {
	client *http.Client

	mu          sync.Mutex
	credentials map[string]azcore.TokenCredential
}

// New gets tokens over client.
func New(client *http.Client) *Tokens {
	return &Tokens{client: client, credentials: map[string]azcore.TokenCredential{}}
}

// Token returns a token for a scope. data holds clientID, tenantID and
// clientSecret where auth names a client secret.
func (t *Tokens) Token(ctx context.Context, auth table.AzureAuth, data map[string][]byte, scope string) (string, error) {
	c, err := t.credential(auth, data)
	if err != nil {
		return "", err
	}
	token, err := c.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		return "", fmt.Errorf("get a token for %q: %w", scope, err)
	}
	return token.Token, nil
}

func (t *Tokens) credential(auth table.AzureAuth, data map[string][]byte) (azcore.TokenCredential, error) {
	id := auth.Type + "\x00" + auth.ClientID + "\x00" + auth.ObjectID + "\x00" + auth.ResourceID + "\x00" + digest(data)
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.credentials[id]; ok {
		return c, nil
	}
	c, err := t.open(auth, data)
	if err != nil {
		return nil, fmt.Errorf("open the identity at Azure: %w", err)
	}
	t.credentials[id] = c
	return c, nil
}

func digest(data map[string][]byte) string {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(h, "%q=%q;", k, data[k])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (t *Tokens) open(auth table.AzureAuth, data map[string][]byte) (azcore.TokenCredential, error) {
	options := azcore.ClientOptions{Transport: t.client}
	switch {
	case len(data) > 0:
		return azidentity.NewClientSecretCredential(string(data["tenantID"]), string(data["clientID"]), string(data["clientSecret"]),
			&azidentity.ClientSecretCredentialOptions{ClientOptions: options})
	case auth.Type == "ManagedIdentity":
		return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options, ID: managed(auth)})
	case auth.Type == "WorkloadIdentity" || os.Getenv("AZURE_FEDERATED_TOKEN_FILE") != "":
		return workload(options)
	}
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
}

// workload is the identity that the cluster projects into the pod. Where the
// authority is a private one, there is no public place to ask about it.
func workload(options azcore.ClientOptions) (azcore.TokenCredential, error) {
	return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: options, DisableInstanceDiscovery: os.Getenv("AZURE_AUTHORITY_HOST") != "",
	})
}

func managed(auth table.AzureAuth) azidentity.ManagedIDKind {
	switch {
	case auth.ClientID != "":
		return azidentity.ClientID(auth.ClientID)
	case auth.ObjectID != "":
		return azidentity.ObjectID(auth.ObjectID)
	case auth.ResourceID != "":
		return azidentity.ResourceID(auth.ResourceID)
	}
	return nil
}
