package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ports are those of the example's servers; the first is the lost region's model.
var ports = []string{"9201", "9202", "9301", "9302"}

// prepare copies the example, with ports that are free and with a real provider
// where the environment has a key.
func (f *fleet) prepare(example string) error {
	if err := os.CopyFS(f.dir, os.DirFS(example)); err != nil {
		return fmt.Errorf("copy the example: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(f.dir, ".nave")); err != nil {
		return fmt.Errorf("copy the example: %w", err)
	}
	free, err := freePorts()
	if err != nil {
		return err
	}
	var pairs []string
	for i, p := range ports {
		pairs = append(pairs, p, free[i])
	}
	f.stats = "http://127.0.0.1:" + free[0] + "/_sim/stats"
	if err := rewrite(f.dir, strings.NewReplacer(pairs...).Replace); err != nil {
		return err
	}
	return f.useReal(os.LookupEnv)
}

// freePorts gives ports below those that the system hands out by itself, so
// that nobody is likely to take one while its server is down.
func freePorts() ([]string, error) {
	const first, last, tries = 20000, 32000, 100
	var out []string
	for range tries {
		port := strconv.Itoa(first + rand.IntN(last-first))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer l.Close()
		if out = append(out, port); len(out) == len(ports) {
			return out, nil
		}
	}
	return nil, fmt.Errorf("find free ports: %d tries found %d of %d", tries, len(out), len(ports))
}

// rewrite changes every YAML file of a fleet's folder.
func rewrite(dir string, change func(string) string) error {
	var files []string
	for _, pattern := range []string{"hub/*.yaml", "clusters/*/*.yaml"} {
		some, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		files = append(files, some...)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(change(string(data))), 0o600); err != nil {
			return err
		}
	}
	return nil
}

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
