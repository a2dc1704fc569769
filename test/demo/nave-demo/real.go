package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// provider is a real one that can stand in for the simulators.
type provider struct {
	name string
	// key and endpoint are variables; endpoint is "" where there is none to say.
	key, endpoint string
	// field is what AgentgatewayBackend says of it; %s is the endpoint.
	field string
}

var providers = []provider{
	{"Azure OpenAI", "AZURE_FOUNDRY_API_KEY", "AZURE_FOUNDRY_ENDPOINT", "azureopenai: {endpoint: %s, deploymentName: gpt-5.4-mini, apiVersion: 2025-01-01-preview}"},
	{"OpenAI", "OPENAI_API_KEY", "", "openai: {model: gpt-5.4-mini}"},
	{"Anthropic", "ANTHROPIC_API_KEY", "", "anthropic: {model: claude-haiku-4-5}"},
}

// useReal puts the first provider whose key the environment has in place of
// both regions' simulators. The key itself stays in the environment.
func (f *fleet) useReal(env func(string) (string, bool)) error {
	for _, p := range providers {
		if key, _ := env(p.key); key == "" {
			continue
		}
		field := p.field
		if p.endpoint != "" {
			endpoint, _ := env(p.endpoint)
			if endpoint == "" {
				continue
			}
			field = fmt.Sprintf(p.field, strconv.Quote(strings.TrimSuffix(strings.TrimPrefix(endpoint, "https://"), "/")))
		}
		f.real = p.name
		fmt.Printf("models: %s, by the key in %s; they get fewer of the requests\n", p.name, p.key)
		for _, region := range []string{"westus2", "southcentralus"} {
			text := fmt.Sprintf(realModel, "$"+p.key, field)
			if err := os.WriteFile(filepath.Join(f.dir, "clusters", region, "model.yaml"), []byte(text), 0o600); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Println("models: simulators, since the environment has no provider's key")
	return nil
}

const realModel = `apiVersion: v1
kind: Secret
metadata: {name: azureopenai-secret, namespace: agentgateway-system}
stringData: {Authorization: %s}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: azureopenaibackend, namespace: agentgateway-system}
spec:
  ai:
    provider:
      %s
  policies:
    auth:
      secretRef: {name: azureopenai-secret}
`
