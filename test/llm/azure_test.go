package llm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/navehq/nave/test/simulators/model"
)

// azure is a simulator of a resource with one deployment.
func azure(o model.Options) *model.Simulator {
	o.Name, o.Region = "azure", "eastus2"
	o.Deployments = map[string]string{"prod-chat": "gpt-5.4-mini-2026-03-17"}
	return model.New(o)
}

// With a key: what is sent where, for each way to name Azure and its versions.
func TestAzureByKey(t *testing.T) {
	cases := []struct {
		name, says, host string
		// chat and respond are paths, query what follows.
		chat, respond, query string
	}{
		{"azure-dated", "azureopenai: {endpoint: keyed.openai.azure.com, deploymentName: prod-chat, apiVersion: 2024-10-21}", "keyed.openai.azure.com",
			"/openai/deployments/prod-chat/chat/completions", "/openai/responses", "api-version=2024-10-21"},
		{"azure-v1", "azureopenai: {endpoint: v1.openai.azure.com, deploymentName: prod-chat}", "v1.openai.azure.com",
			"/openai/v1/chat/completions", "/openai/v1/responses", ""},
		{"azure-resource", "azure: {resourceName: named, resourceType: OpenAI, model: prod-chat, apiVersion: 2024-10-21}", "named.openai.azure.com",
			"/openai/deployments/prod-chat/chat/completions", "/openai/responses", "api-version=2024-10-21"},
		{"azure-foundry", "azure: {resourceName: hub, resourceType: Foundry, projectName: agents, model: prod-chat}", "hub.services.ai.azure.com",
			"/api/projects/agents/openai/v1/chat/completions", "/api/projects/agents/openai/v1/responses", ""},
	}
	sims := map[string]*model.Simulator{}
	var backends []backend
	for _, c := range cases {
		key := "azure-key-of-" + c.name + "-86d2e1f0"
		sims[c.name] = azure(model.Options{Keys: []string{key}})
		backends = append(backends, backend{name: c.name, providers: []provider{{says: c.says, host: c.host, key: key, handler: sims[c.name]}}})
	}
	declare(t, backends...)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tape := &tape{}
			got, err := client(c.name, tape).Chat.Completions.New(t.Context(), question("hello there"))
			check(t, err)
			if text := got.Choices[0].Message.Content; text != "azure in eastus2 heard: hello there" || got.Model != "gpt-5.4-mini-2026-03-17" {
				t.Errorf("%q answers %q", got.Model, text)
			}
			if h := tape.head.Header; h.Get("apim-request-id") == "" || h.Get("x-ms-region") != "eastus2" {
				t.Errorf("Azure's own headers are lost: %v", h)
			}
			streamed, err := listen(t, client(c.name, tape), counting(calculation()))
			check(t, err)
			called(t, streamed.Choices[0].Message)
			if streamed.Usage.CompletionTokens == 0 {
				t.Errorf("usage %+v", streamed.Usage)
			}
			answer, err := client(c.name, nil).Responses.New(t.Context(), responses.ResponseNewParams{
				Model: "gpt-5.4-mini", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hello")},
			})
			check(t, err)
			if answer.OutputText() != "azure in eastus2 heard: hello" {
				t.Errorf("responses answers %q", answer.OutputText())
			}
			var paths []string
			for _, r := range sims[c.name].Requests() {
				paths = append(paths, r.Path)
				if r.Credential != "api-key" || r.Query != c.query || r.Host != c.host || r.Status != 200 {
					t.Errorf("%s?%s at %s by %s, answered %d", r.Path, r.Query, r.Host, r.Credential, r.Status)
				}
			}
			if want := c.chat + " " + c.chat + " " + c.respond; strings.Join(paths, " ") != want {
				t.Errorf("asked for %s, want %s", paths, want)
			}
		})
	}
}

// With nothing declared at all, the proxy proves itself by the identity that its
// pod has: Entra's double checks every field of the request for a token, and the
// resource takes nothing but the tokens that it gave.
func TestAzureAmbient(t *testing.T) {
	sim := azure(model.Options{Keys: []string{"nobody has this one"}, Bearer: identity.Approves})
	project := azure(model.Options{Keys: []string{"nor this one"}, Bearer: identity.Approves})
	declare(t,
		backend{name: "ambient", providers: []provider{{
			says: "azureopenai: {endpoint: ambient.openai.azure.com, deploymentName: prod-chat, apiVersion: 2024-10-21}",
			host: "ambient.openai.azure.com", handler: sim,
		}}},
		backend{name: "ambient-foundry", providers: []provider{{
			says: "azure: {resourceName: ambient, resourceType: Foundry, projectName: agents, model: prod-chat}",
			host: "ambient.services.ai.azure.com", handler: project,
		}}},
		backend{name: "workload", providers: []provider{{
			says: "azureopenai: {endpoint: workload.openai.azure.com, deploymentName: prod-chat, apiVersion: 2024-10-21}",
			host: "workload.openai.azure.com", handler: sim, auth: "{azure: {workloadIdentity: {}}}",
		}}},
	)
	before := len(identity.Events())
	for _, name := range []string{"ambient", "ambient", "workload", "ambient-foundry"} {
		got, err := client(name, nil).Chat.Completions.New(t.Context(), question("hello"))
		check(t, err)
		if text := got.Choices[0].Message.Content; text != "azure in eastus2 heard: hello" {
			t.Errorf("%s: answered %q", name, text)
		}
		_, err = listen(t, client(name, nil), question("hello in 10 words"))
		check(t, err)
	}
	for _, r := range append(sim.Requests(), project.Requests()...) {
		if r.Credential != "bearer" || r.Status != 200 {
			t.Errorf("%s by %s, answered %d", r.Path, r.Credential, r.Status)
		}
	}
	given := map[string]int{}
	for i, e := range identity.Events() {
		if e.Code == 0 {
			given[e.Scope]++
		} else if i >= before {
			t.Errorf("Entra refuses: %+v", e)
		}
	}
	// The chain and the identity that is named are credentials of their own, each
	// with its own token, asked for once.
	if given[scope] != 2 || given[foundry] != 1 {
		t.Errorf("tokens were asked for %v times, want 2 and 1", given)
	}
}

// Without a token there is no call; another provider carries it, and where there
// is none the client is told, without its own key in doubt.
func TestAzureAmbientRefused(t *testing.T) {
	sim := azure(model.Options{Bearer: identity.Approves})
	estranged := func(resource string) provider {
		host := resource + ".openai.azure.com"
		return provider{
			says: "azureopenai: {endpoint: " + host + ", deploymentName: prod-chat, apiVersion: 2024-10-21}",
			host: host, handler: sim, auth: "{azure: {secretRef: {name: estranged}}}",
		}
	}
	_, second := openAI("sk-estranged-second-2b7e1516")
	declare(t, backend{name: "estranged", providers: []provider{estranged("estranged")}}, backend{name: "replaced", providers: []provider{estranged("replaced"), second}})
	secret := running.keep("client-secret-28aed2a6abf7")
	check(t, running.write("clusters/"+here+"/estranged-secret.yaml", []byte(`apiVersion: v1
kind: Secret
metadata: {name: estranged, namespace: llm}
stringData: {tenantID: `+tenant+`, clientID: `+app+`, clientSecret: `+secret+`}
`)))
	obeyed(t, here, wanted{resource: "secret azure llm/estranged"})
	_, err := client("estranged", nil).Chat.Completions.New(t.Context(), question("hello"))
	var failed *openai.Error
	if !errors.As(err, &failed) || failed.StatusCode != 502 {
		t.Errorf("got %v, want 502", err)
	}
	if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "AADSTS") {
		t.Errorf("the client is told of the gateway's credential: %v", err)
	}
	got, err := client("replaced", nil).Chat.Completions.New(t.Context(), question("hello"))
	check(t, err)
	if text := got.Choices[0].Message.Content; text != "openai in eastus heard: hello" {
		t.Errorf("answered %q", text)
	}
	if n := sim.Stats().Requests; n != 0 {
		t.Errorf("the resource was asked %d times without a token", n)
	}
}
