// Package entra is a double of Microsoft Entra's token endpoint for tests of
// workload identity: it knows one application with one federated credential,
// checks every field of a client-assertion request against it, and answers with
// a token or with the error that Entra gives for what is wrong. It knows no
// users, no secrets and no other grant.
//
// The request is that of the OAuth 2.0 client credentials flow with a federated
// credential: POST /{tenant}/oauth2/v2.0/token.
package entra

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// DefaultAudience is what AKS puts into the tokens that it projects.
	DefaultAudience = "api://AzureADTokenExchange"
	// AssertionType is the only type of client assertion there is (RFC 7523).
	AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

	maxForm = 64 << 10
	keyID   = "entra-double"
)

// DefaultScopes are those of Azure OpenAI and of Foundry.
var DefaultScopes = []string{"https://cognitiveservices.azure.com/.default", "https://ai.azure.com/.default"}

// Options is the application and its federated credential.
type Options struct {
	Tenant, Client string
	// Issuer, Subject and Audience are what the assertion must say. An empty
	// Audience is DefaultAudience.
	Issuer, Subject, Audience string
	// TokenFile, if set, holds the assertion that is expected, to the byte.
	TokenFile string
	// AssertionKey, if set, verifies the assertion's signature.
	AssertionKey crypto.PublicKey
	// Scopes may be asked for; nil means DefaultScopes.
	Scopes []string
	// Token, if set, is what is handed out; else each token is a signed JWT.
	Token string
	// Life of a token; 0 means an hour.
	Life time.Duration
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Double is an http.Handler. It must be served by TLS: clients insist.
type Double struct {
	options Options
	key     *rsa.PrivateKey
	mux     *http.ServeMux

	mu     sync.Mutex
	events []Event
	number int
}

// Event is one request for a token.
type Event struct {
	Scope string `json:"scope"`
	Code  int    `json:"code"` // of the AADSTS error; 0 when a token was given
	Error string `json:"error,omitempty"`
}

// New makes a double.
func New(options Options) (*Double, error) {
	if options.Audience == "" {
		options.Audience = DefaultAudience
	}
	if options.Scopes == nil {
		options.Scopes = DefaultScopes
	}
	if options.Life == 0 {
		options.Life = time.Hour
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a token signing key: %w", err)
	}
	d := &Double{options: options, key: key, mux: http.NewServeMux()}
	d.mux.HandleFunc("GET /common/discovery/instance", d.instance)
	d.mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", d.configuration)
	d.mux.HandleFunc("GET /{tenant}/discovery/v2.0/keys", d.keys)
	d.mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", d.token)
	d.mux.HandleFunc("GET /_sim/events", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, d.Events()) })
	return d, nil
}

// ServeHTTP answers as login.microsoftonline.com does.
func (d *Double) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.mux.ServeHTTP(w, r) }

// Events are the requests for tokens so far.
func (d *Double) Events() []Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Event{}, d.events...)
}

// Approves says whether the double gave out this token for one of the scopes'
// resources and it has not expired; it fits model.Options.Bearer.
func (d *Double) Approves(token string) bool {
	if d.options.Token != "" {
		return token == d.options.Token
	}
	_, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return d.key.Public(), nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithTimeFunc(d.options.Now), jwt.WithExpirationRequired())
	return err == nil
}

func (d *Double) instance(w http.ResponseWriter, r *http.Request) {
	endpoint := r.URL.Query().Get("authorization_endpoint")
	base, _, _ := strings.Cut(endpoint, "/oauth2/")
	reply(w, http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": base + "/v2.0/.well-known/openid-configuration", "api-version": "1.1",
		"metadata": []any{map[string]any{"preferred_network": r.Host, "preferred_cache": r.Host, "aliases": []string{r.Host}}},
	})
}

func (d *Double) configuration(w http.ResponseWriter, r *http.Request) {
	tenant := r.PathValue("tenant")
	if tenant != d.options.Tenant {
		d.refuse(w, r, unknownTenant(tenant))
		return
	}
	base := "https://" + r.Host + "/" + tenant
	reply(w, http.StatusOK, map[string]any{
		"issuer": base + "/v2.0", "authorization_endpoint": base + "/oauth2/v2.0/authorize", "token_endpoint": base + "/oauth2/v2.0/token",
		"jwks_uri": base + "/discovery/v2.0/keys", "token_endpoint_auth_methods_supported": []string{"private_key_jwt"},
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"pairwise"}, "id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (d *Double) keys(w http.ResponseWriter, _ *http.Request) {
	public := d.key.PublicKey
	reply(w, http.StatusOK, map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "kid": keyID, "alg": "RS256",
		"n": base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
	}}})
}

func (d *Double) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	scope, refused := d.examine(r)
	if refused != nil {
		d.refuse(w, r, refused)
		return
	}
	token, err := d.issue(r, scope)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	d.note(Event{Scope: scope})
	seconds := int(d.options.Life.Seconds())
	w.Header().Set("cache-control", "no-store, no-cache")
	reply(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token})
}

func (d *Double) issue(r *http.Request, scope string) (string, error) {
	if d.options.Token != "" {
		return d.options.Token, nil
	}
	now := d.options.Now()
	d.mu.Lock()
	d.number++
	number := d.number
	d.mu.Unlock()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"aud": strings.TrimSuffix(scope, "/.default"), "iss": "https://" + r.Host + "/" + d.options.Tenant + "/v2.0",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(d.options.Life).Unix(),
		"appid": d.options.Client, "azp": d.options.Client, "tid": d.options.Tenant, "idtyp": "app", "uti": fmt.Sprint(number), "ver": "2.0",
	})
	token.Header["kid"] = keyID
	signed, err := token.SignedString(d.key)
	if err != nil {
		return "", fmt.Errorf("signing an access token: %w", err)
	}
	return signed, nil
}

func (d *Double) note(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
	d.events = d.events[max(0, len(d.events)-1024):]
}

// expected is the assertion in the token file.
func (d *Double) expected() (string, error) {
	if d.options.TokenFile == "" {
		return "", nil
	}
	raw, err := os.ReadFile(d.options.TokenFile)
	return strings.TrimSpace(string(raw)), err
}

func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("content-type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}

// Assertion signs a token as a cluster's service-account issuer would: what a
// test writes into the federated token file.
func Assertion(key *rsa.PrivateKey, issuer, subject, audience string, expiry time.Time) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": issuer, "sub": subject, "aud": []string{audience},
		"iat": expiry.Add(-time.Hour).Unix(), "nbf": expiry.Add(-time.Hour).Unix(), "exp": expiry.Unix(),
	})
	signed, err := token.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("signing an assertion: %w", err)
	}
	return signed, nil
}

// reserved scopes are added by clients to every request.
var reserved = []string{"openid", "profile", "offline_access"}

func isReserved(scope string) bool { return slices.Contains(reserved, scope) }
