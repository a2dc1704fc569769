package plain

import (
	"fmt"
	"strings"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/apikey"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/message"
)

// credential puts what the instance declares onto the request. undo takes it
// off again, so that a credential never goes to another candidate.
func credential(call *forward.Call, auth *table.Auth, r *message.Request) (undo func(), err error) {
	var value string
	switch auth.Kind {
	case table.AuthKey:
		s, _ := call.Find(table.ID{Kind: table.KindSecret, Name: auth.Secret}).(*table.Secret)
		if s == nil || len(s.Data[auth.Key]) == 0 {
			return nil, fmt.Errorf("adding the credential: entry %q of secret %q is not in the table", auth.Key, auth.Secret)
		}
		value = strings.TrimSpace(string(s.Data[auth.Key]))
	case table.AuthPassthrough:
		if value = call.Credential; value == "" {
			return func() {}, nil
		}
	default:
		return nil, fmt.Errorf("adding the credential: kind %q is not served for plain HTTP", auth.Kind)
	}
	at := table.Location{}
	if auth.Location != nil {
		at = *auth.Location
	}
	return apikey.Put(apikey.Normal(at), value, r), nil
}
