package entra

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// refusal is an error as Entra words it. The numbers are those of
// learn.microsoft.com/entra/identity-platform/reference-error-codes.
type refusal struct {
	status int
	name   string // of RFC 6749, 5.2
	code   int
	words  string
}

func invalid(code int, format string, args ...any) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", code, fmt.Sprintf(format, args...)}
}

func client(code int, format string, args ...any) *refusal {
	return &refusal{http.StatusUnauthorized, "invalid_client", code, fmt.Sprintf(format, args...)}
}

func unknownTenant(tenant string) *refusal {
	return invalid(90002, "Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.", tenant)
}

// known are the fields that may be in the form. Each may be there once.
var known = []string{"grant_type", "client_id", "scope", "client_assertion_type", "client_assertion", "client_info", "claims"}

// examine checks a request field by field and returns the resource's scope.
func (d *Double) examine(r *http.Request) (string, *refusal) {
	if tenant := r.PathValue("tenant"); tenant != d.options.Tenant {
		return "", unknownTenant(tenant)
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("content-type")); kind != "application/x-www-form-urlencoded" {
		return "", invalid(900561, "The endpoint only accepts application/x-www-form-urlencoded requests.")
	}
	if err := r.ParseForm(); err != nil {
		return "", invalid(900144, "The request body could not be parsed.")
	}
	for name, values := range r.PostForm {
		if !slices.Contains(known, name) {
			return "", invalid(90014, "The field '%s' is not expected.", name)
		}
		if len(values) != 1 {
			return "", invalid(90010, "The field '%s' is present more than once.", name)
		}
	}
	form := r.PostForm
	for _, name := range []string{"grant_type", "client_id", "scope"} {
		if form.Get(name) == "" {
			return "", invalid(900144, "The request body must contain the following parameter: '%s'.", name)
		}
	}
	switch {
	case form.Get("grant_type") != "client_credentials":
		return "", &refusal{http.StatusBadRequest, "unsupported_grant_type", 70003, fmt.Sprintf("The app requested an unsupported grant type '%s'.", form.Get("grant_type"))}
	case form.Get("client_id") != d.options.Client:
		return "", &refusal{http.StatusBadRequest, "unauthorized_client", 700016, fmt.Sprintf("Application with identifier '%s' was not found in the directory '%s'.", form.Get("client_id"), d.options.Tenant)}
	case form.Get("client_assertion") == "":
		return "", client(7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	case form.Get("client_assertion_type") != AssertionType:
		return "", client(50027, "The client assertion type '%s' is not '%s'.", form.Get("client_assertion_type"), AssertionType)
	}
	scope, refused := d.scope(form.Get("scope"))
	if refused == nil {
		refused = d.assertion(form.Get("client_assertion"))
	}
	return scope, refused
}

// scope finds the one resource that is asked for.
func (d *Double) scope(text string) (string, *refusal) {
	var resources []string
	for _, one := range strings.Fields(text) {
		if !isReserved(one) {
			resources = append(resources, one)
		}
	}
	switch {
	case len(resources) != 1:
		return "", &refusal{http.StatusBadRequest, "invalid_scope", 28000, fmt.Sprintf("Provided value for the input parameter scope is not valid because it contains %d resources.", len(resources))}
	case !strings.HasSuffix(resources[0], "/.default"):
		return "", &refusal{http.StatusBadRequest, "invalid_scope", 1002012, fmt.Sprintf("The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.", resources[0])}
	case !slices.Contains(d.options.Scopes, resources[0]):
		return "", &refusal{http.StatusBadRequest, "invalid_resource", 500011, fmt.Sprintf("The resource principal named %s was not found in the tenant.", strings.TrimSuffix(resources[0], "/.default"))}
	}
	return resources[0], nil
}

// assertion checks the federated token: what it is, what it says, when.
func (d *Double) assertion(text string) *refusal {
	var claims jwt.RegisteredClaims
	token, _, err := jwt.NewParser().ParseUnverified(text, &claims)
	if err != nil {
		return client(50027, "JWT token is invalid or malformed.")
	}
	now, audience := d.options.Now(), []string(claims.Audience)
	switch {
	case claims.Issuer == "" || claims.Subject == "" || claims.ExpiresAt == nil:
		return client(50027, "JWT token is invalid: 'iss', 'sub' and 'exp' are required.")
	case claims.Issuer != d.options.Issuer:
		return client(700211, "No matching federated identity record found for presented assertion issuer '%s'.", claims.Issuer)
	case claims.Subject != d.options.Subject:
		return client(700213, "No matching federated identity record found for presented assertion subject '%s'.", claims.Subject)
	case len(audience) != 1 || audience[0] != d.options.Audience:
		return client(700212, "No matching federated identity record found for presented assertion audience '%s'.", strings.Join(audience, " "))
	case !now.Before(claims.ExpiresAt.Time):
		return client(700024, "Client assertion is not within its valid time range. Current time: %s, expiry time of assertion %s.", now.UTC().Format(time.RFC3339), claims.ExpiresAt.UTC().Format(time.RFC3339))
	case claims.NotBefore != nil && now.Before(claims.NotBefore.Time):
		return client(700024, "Client assertion is not within its valid time range. It is not valid before %s.", claims.NotBefore.UTC().Format(time.RFC3339))
	}
	if err := d.authentic(text, token); err != nil {
		return client(700027, "The certificate or key with which the client assertion is signed does not fit: %v.", err)
	}
	return nil
}

// authentic holds the assertion against the file, and its signature against the key.
func (d *Double) authentic(text string, token *jwt.Token) error {
	expected, err := d.expected()
	switch {
	case err != nil:
		return errors.New("the federated token file cannot be read")
	case d.options.TokenFile != "" && text != expected:
		return errors.New("it is not the content of the federated token file")
	case d.options.AssertionKey == nil:
		return nil
	}
	_, err = jwt.Parse(text, func(*jwt.Token) (any, error) { return d.options.AssertionKey, nil },
		jwt.WithValidMethods([]string{token.Method.Alg()}), jwt.WithoutClaimsValidation())
	return err
}

// refuse answers in the shape of RFC 6749, 5.2, with what Entra adds to it.
func (d *Double) refuse(w http.ResponseWriter, r *http.Request, why *refusal) {
	d.note(Event{Scope: r.PostForm.Get("scope"), Code: why.code, Error: why.name})
	stamp := d.options.Now().UTC().Format("2006-01-02 15:04:05Z")
	correlation := r.Header.Get("client-request-id")
	reply(w, why.status, map[string]any{
		"error":             why.name,
		"error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: simulated Correlation ID: %s Timestamp: %s", why.code, why.words, correlation, stamp),
		"error_codes":       []int{why.code}, "timestamp": stamp, "trace_id": "simulated", "correlation_id": correlation,
	})
}
