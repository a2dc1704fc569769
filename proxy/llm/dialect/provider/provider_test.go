package provider_test

import (
	"strings"
	"testing"

	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/provider"
)

func TestTarget(t *testing.T) {
	azure := func(deployment, version string) provider.Provider {
		return provider.Provider{Kind: provider.AzureOpenAI, Endpoint: "r.openai.azure.com", Deployment: deployment, APIVersion: version}
	}
	for _, tc := range []struct {
		why  string
		p    provider.Provider
		op   dialect.Operation
		want string
	}{
		{"OpenAI", provider.Provider{}, dialect.Chat, "POST /v1/chat/completions"},
		{"OpenAI's list", provider.Provider{}, dialect.Models, "GET /v1/models"},
		{"OpenAI's responses", provider.Provider{}, dialect.Responses, "POST /v1/responses"},
		{"Azure, dated", azure("gpt 4", "2024-10-21"), dialect.Chat, "POST /openai/deployments/gpt%204/chat/completions?api-version=2024-10-21"},
		{"Azure, dated, embeddings", azure("e", "2024-10-21"), dialect.Embeddings, "POST /openai/deployments/e/embeddings?api-version=2024-10-21"},
		{"Azure, dated, without a deployment", azure("", "2024-10-21"), dialect.Chat, "POST /openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"},
		{"Azure, dated, responses take the deployment from the body", azure("d", "2025-03-01-preview"), dialect.Responses, "POST /openai/responses?api-version=2025-03-01-preview"},
		{"Azure, versionless", azure("d", ""), dialect.Chat, "POST /openai/v1/chat/completions"},
		{"Azure, v1", azure("d", "v1"), dialect.Responses, "POST /openai/v1/responses"},
		{"Azure, preview", azure("d", "preview"), dialect.Chat, "POST /openai/v1/chat/completions?api-version=preview"},
		{"a version that would add parameters", azure("d", "2024&x=1"), dialect.Chat, "POST /openai/deployments/d/chat/completions?api-version=2024%26x%3D1"},
		{"Foundry, its project", provider.Provider{Kind: provider.Azure, Resource: "r", Foundry: true, Project: "p"}, dialect.Chat, "POST /api/projects/p/openai/v1/chat/completions"},
		{"Foundry, without", provider.Provider{Kind: provider.Azure, Resource: "r", Foundry: true}, dialect.Chat, "POST /api/projects/r/openai/v1/chat/completions"},
		{"Azure behind another host", provider.Provider{Kind: provider.AzureOpenAI, Host: "h", Port: 1, Deployment: "d", APIVersion: "2024-10-21"}, dialect.Chat, "POST /openai/deployments/d/chat/completions?api-version=2024-10-21"},
		{"another host keeps the client's path", provider.Provider{Host: "h", Port: 80}, dialect.Chat, "POST /base/v1/chat/completions?a=b"},
		{"a prefix", provider.Provider{Kind: provider.Compatible, Host: "h", Port: 80, PathPrefix: "/api/v1/"}, dialect.Chat, "POST /api/v1/chat/completions"},
		{"a path", provider.Provider{Kind: provider.Compatible, Host: "h", Port: 80, Path: "/generate"}, dialect.Chat, "POST /generate"},
		{"Anthropic", provider.Provider{Kind: provider.Anthropic}, dialect.Chat, "POST /v1/messages anthropic-version=2023-06-01"},
		{"Anthropic behind another host", provider.Provider{Kind: provider.Anthropic, Host: "h", Port: 80}, dialect.Chat, "POST /v1/messages anthropic-version=2023-06-01"},
		{"Anthropic below a prefix", provider.Provider{Kind: provider.Anthropic, Host: "h", Port: 80, PathPrefix: "/anthropic/v1"}, dialect.Chat, "POST /anthropic/v1/messages anthropic-version=2023-06-01"},
	} {
		got, err := tc.p.Target(tc.op, "/base/v1/chat/completions", "a=b", "gpt-4o")
		s := got.Method + " " + got.Path
		if got.Query != "" {
			s += "?" + got.Query
		}
		for _, h := range got.Header {
			s += " " + h.Name + "=" + h.Value
		}
		if err != nil || s != tc.want {
			t.Errorf("%s: %q, %v; want %q", tc.why, s, err, tc.want)
		}
	}
}

func TestTargetRefuses(t *testing.T) {
	dated := provider.Provider{Kind: provider.AzureOpenAI, APIVersion: "2024-10-21"}
	for _, model := range []string{"", "..", ".", "a/b", `a\b`, "a%2fb", "a\r\nb", "../../x"} {
		if got, err := dated.Target(dialect.Chat, "/", "", model); err == nil {
			t.Errorf("model %q leads to %q", model, got.Path)
		}
	}
	other := provider.Provider{Host: "h", Port: 80}
	for _, path := range []string{"", "x", "/a/../b", "/a/%2e%2E/b", "/a%2f..%2fb", "/a\\..\\b", "/a/./b", "/a b", "/a%0d%0ab", "/a?b", "/%zz"} {
		if got, err := other.Target(dialect.Chat, path, "", "m"); err == nil {
			t.Errorf("path %q leads to %q", path, got.Path)
		}
	}
}

func TestAddress(t *testing.T) {
	for _, tc := range []struct {
		why  string
		p    provider.Provider
		want provider.Address
		ok   bool
	}{
		{"OpenAI", provider.Provider{}, provider.Address{TLS: true, Host: "api.openai.com", Port: 443}, true},
		{"Anthropic", provider.Provider{Kind: provider.Anthropic}, provider.Address{TLS: true, Host: "api.anthropic.com", Port: 443}, true},
		{"another host", provider.Provider{Host: "h", Port: 8000}, provider.Address{Host: "h", Port: 8000}, true},
		{"an endpoint as given", provider.Provider{Kind: provider.AzureOpenAI, Endpoint: "x.services.ai.azure.com"}, provider.Address{TLS: true, Host: "x.services.ai.azure.com", Port: 443}, true},
		{"with a scheme", provider.Provider{Kind: provider.AzureOpenAI, Endpoint: "https://x.openai.azure.com/"}, provider.Address{TLS: true, Host: "x.openai.azure.com", Port: 443}, true},
		{"with a port", provider.Provider{Kind: provider.AzureOpenAI, Endpoint: "http://localhost:9000"}, provider.Address{Host: "localhost", Port: 9000}, true},
		{"a resource's name", provider.Provider{Kind: provider.AzureOpenAI, Endpoint: "x"}, provider.Address{TLS: true, Host: "x.openai.azure.com", Port: 443}, true},
		{"a resource", provider.Provider{Kind: provider.Azure, Resource: "x"}, provider.Address{TLS: true, Host: "x.openai.azure.com", Port: 443}, true},
		{"a Foundry", provider.Provider{Kind: provider.Azure, Resource: "x", Foundry: true}, provider.Address{TLS: true, Host: "x.services.ai.azure.com", Port: 443}, true},
		{"a resource that is a host", provider.Provider{Kind: provider.Azure, Resource: "evil.com/"}, provider.Address{}, false},
		{"an endpoint with a user", provider.Provider{Kind: provider.AzureOpenAI, Endpoint: "https://a@b.c"}, provider.Address{}, false},
		{"an endpoint with a path", provider.Provider{Kind: provider.AzureOpenAI, Endpoint: "https://b.c/x"}, provider.Address{}, false},
		{"no endpoint", provider.Provider{Kind: provider.AzureOpenAI}, provider.Address{}, false},
		{"a compatible one without a host", provider.Provider{Kind: provider.Compatible}, provider.Address{}, false},
	} {
		got, err := tc.p.Address()
		if got != tc.want || (err == nil) != tc.ok {
			t.Errorf("%s: %+v, %v", tc.why, got, err)
		}
	}
}

func TestAuth(t *testing.T) {
	for _, tc := range []struct {
		kind       provider.Kind
		credential string
		token      bool
		want       dialect.Field
	}{
		{provider.OpenAI, "sk-1", false, dialect.Field{Name: "Authorization", Value: "Bearer sk-1"}},
		{provider.Compatible, "k", false, dialect.Field{Name: "Authorization", Value: "Bearer k"}},
		{provider.AzureOpenAI, "k", false, dialect.Field{Name: "api-key", Value: "k"}},
		{provider.Azure, "eyJ", true, dialect.Field{Name: "Authorization", Value: "Bearer eyJ"}},
		{provider.Anthropic, "sk-ant-api03-x", false, dialect.Field{Name: "x-api-key", Value: "sk-ant-api03-x"}},
		{provider.Anthropic, "sk-ant-oat01-x", false, dialect.Field{Name: "Authorization", Value: "Bearer sk-ant-oat01-x"}},
	} {
		got, err := tc.kind.Auth(tc.credential, tc.token)
		if got != tc.want || err != nil {
			t.Errorf("%s %q: %+v, %v", tc.kind, tc.credential, got, err)
		}
	}
	for _, bad := range []string{"", "secretvalue\r\nX: y"} {
		if _, err := provider.OpenAI.Auth(bad, false); err == nil || strings.Contains(err.Error(), "secretvalue") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestModelFor(t *testing.T) {
	for _, tc := range []struct {
		why  string
		p    provider.Provider
		op   dialect.Operation
		want string
	}{
		{"the client's", provider.Provider{}, dialect.Chat, ""},
		{"the declared", provider.Provider{Model: "m"}, dialect.Chat, "m"},
		{"Azure's deployment, from the body", provider.Provider{Kind: provider.AzureOpenAI, Deployment: "d"}, dialect.Chat, "d"},
		{"Azure's deployment, from the path", provider.Provider{Kind: provider.AzureOpenAI, Deployment: "d", APIVersion: "2024-10-21"}, dialect.Chat, ""},
		{"Azure's responses", provider.Provider{Kind: provider.AzureOpenAI, Deployment: "d", APIVersion: "2024-10-21"}, dialect.Responses, "d"},
	} {
		if got := tc.p.ModelFor(tc.op); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.why, got, tc.want)
		}
	}
}

func TestCodec(t *testing.T) {
	if provider.Anthropic.Codec().Serves(dialect.Embeddings) || !provider.Azure.Codec().Serves(dialect.Embeddings) {
		t.Error("who serves embeddings")
	}
	for kind, want := range map[provider.Kind]string{provider.OpenAI: "openai", provider.Compatible: "openai", provider.Azure: "azure", provider.AzureOpenAI: "azure", provider.Anthropic: "anthropic"} {
		if kind.String() != want {
			t.Errorf("kind %d is %s", kind, kind)
		}
	}
}
