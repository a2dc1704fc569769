// Package provider knows the model providers that exist: where each is, which
// path serves which operation, where a credential goes, and which codec carries
// an OpenAI-shaped client's exchange to it. It never dials, and keeps no
// credential.
package provider

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/openai"
)

// Kind is a provider's make.
type Kind uint8

// The kinds. Compatible is any host that speaks OpenAI's dialect; it has no
// address of its own. Azure is named by a resource, AzureOpenAI by an endpoint.
const (
	OpenAI Kind = iota
	Compatible
	AzureOpenAI
	Azure
	Anthropic
)

var kindNames = [...]string{"openai", "openai", "azure", "azure", "anthropic"}

// String is the kind's value of gen_ai.provider.name.
func (k Kind) String() string { return kindNames[k] }

// Provider is one provider as declared. The zero value is OpenAI itself.
type Provider struct {
	Kind Kind
	// Model replaces the client's; empty leaves it.
	Model string
	// Endpoint is AzureOpenAI's host; with or without a scheme, or a resource's
	// name alone.
	Endpoint string
	// Deployment and APIVersion are Azure's. An APIVersion that is empty or "v1"
	// means the versionless API, "preview" its preview, another a dated one.
	Deployment, APIVersion string
	// Resource, Foundry and Project name an Azure resource: OpenAI, or Foundry
	// with a project (the resource's own name where it is empty).
	Resource, Project string
	Foundry           bool
	// Host and Port replace the provider's address, by plain text unless the
	// backend's policy says otherwise, and leave the client's path as it is.
	Host string
	Port uint16
	// Path replaces the whole path, PathPrefix the base before the operation
	// ("/v1"). At most one is set.
	Path, PathPrefix string
}

// Address is where a provider listens.
type Address struct {
	TLS  bool
	Host string
	Port uint16
}

// Address returns where the provider is by default or as overridden.
func (p *Provider) Address() (Address, error) {
	if p.Host != "" {
		return Address{Host: p.Host, Port: p.Port}, nil
	}
	switch p.Kind {
	case OpenAI:
		return Address{TLS: true, Host: "api.openai.com", Port: 443}, nil
	case Anthropic:
		return Address{TLS: true, Host: "api.anthropic.com", Port: 443}, nil
	case AzureOpenAI:
		return endpoint(p.Endpoint)
	case Azure:
		if p.Resource == "" || strings.ContainsAny(p.Resource, "./:@?# ") {
			return Address{}, fmt.Errorf("addressing Azure: %q is not a resource's name", p.Resource)
		}
		if p.Foundry {
			return Address{TLS: true, Host: p.Resource + ".services.ai.azure.com", Port: 443}, nil
		}
		return Address{TLS: true, Host: p.Resource + ".openai.azure.com", Port: 443}, nil
	}
	return Address{}, fmt.Errorf("addressing a compatible provider: it needs a host")
}

// endpoint reads a host with perhaps a scheme and a port; the name of a
// resource alone stands under openai.azure.com.
func endpoint(s string) (Address, error) {
	whole := s
	if !strings.Contains(whole, "://") {
		whole = "https://" + whole
	}
	u, err := url.Parse(whole)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" {
		return Address{}, fmt.Errorf("addressing Azure: endpoint %q is not a host", s)
	}
	a := Address{TLS: u.Scheme == "https", Host: u.Hostname(), Port: 443}
	if !a.TLS {
		a.Port = 80
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Address{}, fmt.Errorf("addressing Azure: endpoint %q has the port %q", s, port)
		}
		a.Port = uint16(n)
	} else if !strings.Contains(a.Host, ".") {
		a.Host += ".openai.azure.com"
	}
	return a, nil
}

// ModelFor returns the model to ask the provider for, for Options.Model: the
// override, or the deployment where Azure takes it from the body, or empty,
// which leaves the client's.
func (p *Provider) ModelFor(op dialect.Operation) string {
	if p.azure() && p.Deployment != "" && !p.inPath(op) {
		return p.Deployment
	}
	return p.Model
}

func (p *Provider) azure() bool { return p.Kind == AzureOpenAI || p.Kind == Azure }

// dated tells whether Azure's API is one of a date.
func (p *Provider) dated() bool {
	return p.APIVersion != "" && p.APIVersion != "v1" && p.APIVersion != "preview"
}

// inPath tells whether Azure wants the deployment in the path.
func (p *Provider) inPath(op dialect.Operation) bool {
	return p.dated() && op != dialect.Responses && op != dialect.Models
}

// Target returns where a request for op goes. path and query are the client's,
// as its route left them; model is the one to be asked for, which Azure's dated
// API wants in the path where no deployment is declared.
func (p *Provider) Target(op dialect.Operation, path, query, model string) (dialect.Target, error) {
	method, suffix := openai.Suffix(op)
	t := dialect.Target{Method: method}
	var err error
	switch {
	case p.Path != "":
		t.Path = p.Path
	case p.Kind == Anthropic:
		t.Path = cmp.Or(strings.TrimRight(p.PathPrefix, "/"), "/v1") + "/messages"
	case p.PathPrefix != "":
		t.Path = strings.TrimRight(p.PathPrefix, "/") + suffix
	case p.azure():
		t.Path, t.Query, err = p.azurePath(op, suffix, model)
	case p.Host != "":
		t.Path, t.Query = path, query
	default:
		t.Path = "/v1" + suffix
	}
	if err == nil {
		err = checkPath(t.Path)
	}
	if err != nil {
		return dialect.Target{}, err
	}
	if p.Kind == Anthropic {
		t.Header = []dialect.Field{{Name: "anthropic-version", Value: "2023-06-01"}}
	}
	return t, nil
}

func (p *Provider) azurePath(op dialect.Operation, suffix, model string) (path, query string, err error) {
	base := "/openai"
	if p.Kind == Azure && p.Foundry && !p.dated() {
		project, err := segment("project", cmp.Or(p.Project, p.Resource))
		if err != nil {
			return "", "", err
		}
		base = "/api/projects/" + project + base
	}
	switch {
	case !p.dated():
		if p.APIVersion == "preview" {
			query = "api-version=preview"
		}
		return base + "/v1" + suffix, query, nil
	case p.inPath(op):
		deployment, err := segment("deployment", cmp.Or(p.Deployment, p.Model, model))
		if err != nil {
			return "", "", err
		}
		base += "/deployments/" + deployment
	}
	return base + suffix, "api-version=" + url.QueryEscape(p.APIVersion), nil
}

// segment escapes one segment of a path; what could leave its place is refused.
func segment(what, s string) (string, error) {
	if s == "" || s == "." || s == ".." || strings.ContainsAny(s, "/\\%") || strings.ContainsFunc(s, control) {
		return "", dialect.Fault("model", fmt.Sprintf("%q cannot be the name of a %s", s, what))
	}
	return url.PathEscape(s), nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// checkPath refuses paths that a server could read as another one.
func checkPath(path string) error {
	plain, err := url.PathUnescape(path)
	if err != nil || !strings.HasPrefix(path, "/") || strings.ContainsFunc(plain, control) || strings.ContainsAny(path, " ?#") {
		return dialect.Fault("", fmt.Sprintf("the path %q is not valid", path))
	}
	for s := range strings.FieldsFuncSeq(plain, func(r rune) bool { return r == '/' || r == '\\' }) {
		if s == "." || s == ".." {
			return dialect.Fault("", fmt.Sprintf("the path %q leads elsewhere", path))
		}
	}
	return nil
}

// Auth returns the header that carries a credential. token says that it is a
// token of an identity provider, not a key of the provider's own. The error
// does not hold the credential.
func (k Kind) Auth(credential string, token bool) (dialect.Field, error) {
	if credential == "" || strings.ContainsFunc(credential, control) {
		return dialect.Field{}, fmt.Errorf("placing a credential for %s: it is empty or has control characters in it", k)
	}
	switch {
	case token:
	case k == Azure || k == AzureOpenAI:
		return dialect.Field{Name: "api-key", Value: credential}, nil
	case k == Anthropic && !strings.HasPrefix(credential, "sk-ant-oat"):
		return dialect.Field{Name: "x-api-key", Value: credential}, nil
	}
	return dialect.Field{Name: "Authorization", Value: "Bearer " + credential}, nil
}

// Codec returns what carries an OpenAI-shaped client's exchange to the provider.
func (k Kind) Codec() dialect.Codec {
	if k == Anthropic {
		return toAnthropic{}
	}
	return openai.Codec{}
}
