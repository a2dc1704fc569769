package llm_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http/httptest"
	"os"
	"time"

	"github.com/navehq/nave/test/simulators/entra"
)

// What the token endpoint knows of this workload.
const (
	tenant  = "11111111-1111-1111-1111-111111111111"
	app     = "22222222-2222-2222-2222-222222222222"
	issuer  = "https://oidc.example.com/cluster"
	subject = "system:serviceaccount:llm:models"
	scope   = "https://cognitiveservices.azure.com/.default"
	foundry = "https://ai.azure.com/.default"
)

// entraDouble is the token endpoint, under the name that a cluster's webhook
// tells its pods.
type entraDouble struct {
	*entra.Double
	server          *httptest.Server
	host            string
	file, assertion string
}

var identity *entraDouble

func newEntra(file string) (*entraDouble, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	e := &entraDouble{host: "login.microsoftonline.com", file: file}
	if e.assertion, err = entra.Assertion(key, issuer, subject, entra.DefaultAudience, time.Now().Add(time.Hour)); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, []byte(e.assertion), 0o600); err != nil {
		return nil, err
	}
	if e.Double, err = entra.New(entra.Options{Tenant: tenant, Client: app, Issuer: issuer, Subject: subject, TokenFile: file, AssertionKey: key.Public()}); err != nil {
		return nil, err
	}
	e.server = httptest.NewUnstartedServer(e.Double)
	if e.server.TLS, err = certificates.Serve(e.host); err != nil {
		return nil, err
	}
	e.server.StartTLS()
	return e, nil
}

// environment is what workload identity's webhook puts into a pod.
func (e *entraDouble) environment() []string {
	return []string{
		"AZURE_TENANT_ID=" + tenant, "AZURE_CLIENT_ID=" + app,
		"AZURE_FEDERATED_TOKEN_FILE=" + e.file, "AZURE_AUTHORITY_HOST=https://" + e.host + "/",
	}
}
