package entra_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/navehq/nave/test/simulators/authority"
	"github.com/navehq/nave/test/simulators/entra"
	"github.com/navehq/nave/test/simulators/model"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/azure"
	"github.com/openai/openai-go/v3/option"
)

const (
	tenant  = "11111111-1111-1111-1111-111111111111"
	app     = "22222222-2222-2222-2222-222222222222"
	issuer  = "https://oidc.example.com/cluster"
	subject = "system:serviceaccount:agents:gateway"
	scope   = "https://cognitiveservices.azure.com/.default"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var key = func() *rsa.PrivateKey { k, _ := rsa.GenerateKey(rand.Reader, 2048); return k }()

// scene is a double that expects what is in a token file.
type scene struct {
	double *entra.Double
	server *httptest.Server
	file   string
}

func (s scene) credential(t *testing.T) *azidentity.WorkloadIdentityCredential {
	t.Helper()
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: policy.ClientOptions{
			Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: s.server.URL + "/"},
			Transport: s.server.Client(), Retry: policy.RetryOptions{MaxRetries: -1},
		},
		ClientID: app, TenantID: tenant, TokenFilePath: s.file, DisableInstanceDiscovery: true,
	})
	check(t, err)
	return credential
}

func newScene(t *testing.T, change func(*entra.Options)) scene {
	t.Helper()
	s := scene{file: filepath.Join(t.TempDir(), "token")}
	assertion, err := entra.Assertion(key, issuer, subject, entra.DefaultAudience, time.Now().Add(time.Hour))
	check(t, err)
	check(t, os.WriteFile(s.file, []byte(assertion), 0o600))
	options := entra.Options{Tenant: tenant, Client: app, Issuer: issuer, Subject: subject, TokenFile: s.file, AssertionKey: key.Public()}
	if change != nil {
		change(&options)
	}
	s.double, err = entra.New(options)
	check(t, err)
	root, err := authority.New("test")
	check(t, err)
	s.server = httptest.NewUnstartedServer(s.double)
	s.server.TLS, err = root.Serve("127.0.0.1")
	check(t, err)
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	s.server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs = root.Pool()
	return s
}

func TestWorkloadIdentityCredential(t *testing.T) {
	s := newScene(t, nil)
	token, err := s.credential(t).GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
	check(t, err)
	if !s.double.Approves(token.Token) || s.double.Approves(token.Token+"x") {
		t.Error("the token that was given is not told from another")
	}
	if left := time.Until(token.ExpiresOn); left < 59*time.Minute || left > time.Hour {
		t.Errorf("the token lives %v", left)
	}
	if events := s.double.Events(); len(events) != 1 || events[0].Scope != scope || events[0].Code != 0 {
		t.Errorf("events %+v", events)
	}
}

func TestPasswordlessModelCall(t *testing.T) {
	s := newScene(t, nil)
	sim := model.New(model.Options{Keys: []string{"nobody has it"}, Bearer: s.double.Approves})
	root, err := authority.New("model")
	check(t, err)
	provider := httptest.NewUnstartedServer(sim)
	provider.TLS, err = root.Serve("127.0.0.1")
	check(t, err)
	provider.StartTLS()
	defer provider.Close()
	provider.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs = root.Pool()
	client := openai.NewClient(azure.WithEndpoint(provider.URL, "2024-10-21"), azure.WithTokenCredential(s.credential(t)), option.WithHTTPClient(provider.Client()))
	got, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
		Model: "gpt-5.4-mini", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello")},
	})
	check(t, err)
	if got.Choices[0].Message.Content != "sim in local heard: hello" || sim.Requests()[0].Credential != "bearer" {
		t.Errorf("answered %q to a %q", got.Choices[0].Message.Content, sim.Requests()[0].Credential)
	}
}

func TestCredentialLearnsWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		reason string
		change func(*entra.Options)
		want   string
	}{
		{"another cluster's issuer", func(o *entra.Options) { o.Issuer = "https://other" }, "AADSTS700211"},
		{"another service account", func(o *entra.Options) { o.Subject = "system:serviceaccount:x:y" }, "AADSTS700213"},
		{"another audience", func(o *entra.Options) { o.Audience = "sts.amazonaws.com" }, "AADSTS700212"},
		{"an application nobody registered", func(o *entra.Options) { o.Client = "other" }, "AADSTS700016"},
		{"a token file of long ago", func(o *entra.Options) { o.Now = func() time.Time { return time.Now().Add(2 * time.Hour) } }, "AADSTS700024"},
		{"a key that does not fit", func(o *entra.Options) {
			other, _ := rsa.GenerateKey(rand.Reader, 2048)
			o.AssertionKey = other.Public()
		}, "AADSTS700027"},
		{"a resource that is not there", func(o *entra.Options) { o.Scopes = []string{"https://vault.azure.net/.default"} }, "AADSTS500011"},
	} {
		s := newScene(t, test.change)
		_, err := s.credential(t).GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.reason, err, test.want)
		}
	}
}

func TestEveryFieldIsChecked(t *testing.T) {
	s := newScene(t, nil)
	assertion, err := os.ReadFile(s.file)
	check(t, err)
	older, err := entra.Assertion(key, issuer, subject, entra.DefaultAudience, time.Now().Add(30*time.Minute))
	check(t, err)
	right := func() url.Values {
		return url.Values{
			"grant_type": {"client_credentials"}, "client_id": {app}, "scope": {scope + " openid profile offline_access"},
			"client_assertion_type": {entra.AssertionType}, "client_assertion": {string(assertion)}, "client_info": {"1"},
		}
	}
	for _, test := range []struct {
		reason string
		change func(url.Values)
		code   float64
	}{
		{"all is right", func(url.Values) {}, 0},
		{"another grant", func(v url.Values) { v.Set("grant_type", "password") }, 70003},
		{"no grant", func(v url.Values) { v.Del("grant_type") }, 900144},
		{"no client", func(v url.Values) { v.Del("client_id") }, 900144},
		{"no scope", func(v url.Values) { v.Del("scope") }, 900144},
		{"two resources", func(v url.Values) { v.Set("scope", scope+" https://ai.azure.com/.default") }, 28000},
		{"a scope that is no .default", func(v url.Values) { v.Set("scope", "https://cognitiveservices.azure.com/user") }, 1002012},
		{"no assertion", func(v url.Values) { v.Del("client_assertion") }, 7000218},
		{"an assertion of another type", func(v url.Values) { v.Set("client_assertion_type", "urn:saml") }, 50027},
		{"an assertion that is no token", func(v url.Values) { v.Set("client_assertion", "a.b.c") }, 50027},
		{"a valid assertion that is not the file's", func(v url.Values) { v.Set("client_assertion", older) }, 700027},
		{"a field twice", func(v url.Values) { v.Add("client_id", app) }, 90010},
		{"a field that does not belong", func(v url.Values) { v.Set("client_secret", "x") }, 90014},
	} {
		form := right()
		test.change(form)
		response, err := s.server.Client().PostForm(s.server.URL+"/"+tenant+"/oauth2/v2.0/token", form)
		check(t, err)
		var body struct {
			Error       string    `json:"error"`
			Description string    `json:"error_description"`
			Codes       []float64 `json:"error_codes"`
			Token       string    `json:"access_token"`
		}
		check(t, json.NewDecoder(response.Body).Decode(&body))
		response.Body.Close()
		if test.code == 0 {
			if response.StatusCode != 200 || body.Token == "" {
				t.Errorf("%s: %d %+v", test.reason, response.StatusCode, body)
			}
		} else if len(body.Codes) != 1 || body.Codes[0] != test.code || body.Error == "" || body.Token != "" {
			t.Errorf("%s: %d %+v, want %v", test.reason, response.StatusCode, body, test.code)
		}
	}
	response, err := s.server.Client().PostForm(s.server.URL+"/elsewhere/oauth2/v2.0/token", right())
	check(t, err)
	response.Body.Close()
	if response.StatusCode != 400 || s.double.Events()[len(s.double.Events())-1].Code != 90002 {
		t.Errorf("another tenant was answered with %d", response.StatusCode)
	}
}

func FuzzForm(f *testing.F) {
	f.Add("grant_type=client_credentials&client_id=" + app + "&scope=" + url.QueryEscape(scope) + "&client_assertion=a.b.c&client_assertion_type=" + url.QueryEscape(entra.AssertionType))
	f.Add("client_id=%zz&&=")
	double, err := entra.New(entra.Options{Tenant: tenant, Client: app, Issuer: issuer, Subject: subject})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, form string) {
		request := httptest.NewRequest("POST", "/"+tenant+"/oauth2/v2.0/token", strings.NewReader(form))
		request.Header.Set("content-type", "application/x-www-form-urlencoded")
		recorder := httptest.NewRecorder()
		double.ServeHTTP(recorder, request)
		if recorder.Code < 200 || recorder.Code >= 500 {
			t.Errorf("%q was answered with %d", form, recorder.Code)
		}
	})
}
