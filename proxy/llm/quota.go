package llm

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/llm/dialect/provider"
	"github.com/navehq/nave/proxy/pick"
)

// maxName bounds what of a model's name, which may be the client's, names a quota.
const maxName = 128

// owner names whose quota a candidate draws on for this call, "" the candidate's
// own: at OpenAI and Anthropic an account's for a model, whichever candidate
// asks; at Azure a deployment's of a resource. What is shown the client's own
// key draws on the client's, and on nobody else's. Accounts of other clusters
// are not known here; their candidates have quotas of their own.
func (t *turn) owner(c pick.Candidate) string {
	m := c.Member.ModelAt(c.Instance)
	if m == nil {
		return ""
	}
	kind, auth, who := kindOf(m), c.Instance.Auth, c.Key()
	direct := kind == provider.OpenAI || kind == provider.Anthropic
	name := firstOf(m.Deployment, t.model(m), t.facts.Model)
	switch {
	case auth != nil && auth.Kind == table.AuthPassthrough:
		sum := sha256.Sum256([]byte(t.shown()))
		client := "client " + hex.EncodeToString(sum[:6])
		if who += "/" + client; direct {
			who = string(m.Provider) + "/" + client
		}
	case kind == provider.Compatible:
		return ""
	case c.Local && direct && auth != nil && auth.Kind == table.AuthKey:
		who = string(m.Provider) + "/" + auth.Secret + "/" + auth.Key
	case c.Local && !direct && c.Instance.Dial != nil:
		who = c.Instance.Dial.Host
	}
	return who + "/" + name[:min(len(name), maxName)]
}
