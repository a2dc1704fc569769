package llm

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/apikey"
	"github.com/navehq/nave/proxy/llm/dialect/provider"
	"github.com/navehq/nave/proxy/message"
)

// The scopes of Azure's tokens.
const (
	scopeOpenAI  = "https://cognitiveservices.azure.com/.default"
	scopeFoundry = "https://ai.azure.com/.default"
	// tokenWithin bounds the wait for a token.
	tokenWithin = 5 * time.Second
)

func timeOf(n int64) time.Duration { return time.Duration(n) }

// authenticate puts the instance's credential where the provider wants it.
func (a *attempt) authenticate(ctx context.Context, kind provider.Kind, req *message.Request) error {
	auth := a.to.Instance.Auth
	if auth == nil {
		return nil
	}
	credential, token, err := a.credential(ctx, auth)
	if err != nil || credential == "" {
		return err
	}
	if auth.Kind == table.AuthPassthrough && strings.ContainsFunc(credential, unicode.IsControl) {
		return caller(401, "the credential has control characters in it")
	}
	if auth.Location != nil {
		apikey.Put(apikey.Normal(*auth.Location), credential, req)
		return nil
	}
	field, err := kind.Auth(credential, token)
	if err != nil {
		return fmt.Errorf("adding the credential: %w", err)
	}
	req.Header.Set(field.Name, field.Value)
	return nil
}

// credential is the instance's, and whether it is an identity provider's token.
func (a *attempt) credential(ctx context.Context, auth *table.Auth) (value string, token bool, err error) {
	switch auth.Kind {
	case table.AuthKey:
		data, err := a.secret(auth.Secret)
		if err != nil {
			return "", false, err
		}
		key := strings.TrimSpace(string(data[auth.Key]))
		if key == "" {
			return "", false, fmt.Errorf("adding the credential: entry %q of secret %q is not in the table", auth.Key, auth.Secret)
		}
		return key, false, nil
	case table.AuthPassthrough:
		return a.shown(), false, nil
	case table.AuthAzureAmbient:
		value, err = a.token(ctx, auth)
		return value, true, err
	}
	return "", false, fmt.Errorf("adding the credential: kind %q is not served", auth.Kind)
}

// shown is the credential that the client showed.
func (t *turn) shown() string {
	if t.call.Credential != "" {
		return t.call.Credential
	}
	return strings.TrimPrefix(t.call.Request.Header.Get("Authorization"), "Bearer ")
}

// passthrough tells whether an instance is shown the client's own credential.
func passthrough(i *table.Instance) bool {
	return i.Auth != nil && i.Auth.Kind == table.AuthPassthrough
}

func (a *attempt) secret(name string) (map[string][]byte, error) {
	s, _ := a.call.Find(table.ID{Kind: table.KindSecret, Name: name}).(*table.Secret)
	if s == nil {
		return nil, fmt.Errorf("adding the credential: secret %q is not in the table", name)
	}
	return s.Data, nil
}

func (a *attempt) token(ctx context.Context, auth *table.Auth) (string, error) {
	if a.m.opts.Azure == nil {
		return "", fmt.Errorf("adding the credential: this proxy has no source of Azure's tokens")
	}
	var which table.AzureAuth
	if auth.Azure != nil {
		which = *auth.Azure
	}
	var data map[string][]byte
	if auth.Secret != "" {
		var err error
		if data, err = a.secret(auth.Secret); err != nil {
			return "", err
		}
	}
	scope := scopeOpenAI
	if m := a.to.Member.ModelAt(a.to.Instance); m != nil && m.Project != "" {
		scope = scopeFoundry
	}
	ctx, cancel := context.WithTimeout(ctx, tokenWithin)
	defer cancel()
	return a.m.opts.Azure.Token(ctx, which, data, scope)
}
