package probe

import "testing"

// FuzzAnswer: whatever a server writes, reading it neither panics nor takes
// another request's answer.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{}}`, "data: {\"id\":1,\ndata: \"result\":[]}\n\n", "data: x\r\n\r\nid: 1\ndata:{\"id\":1,\"error\":{\"code\":-1}}", "[]", "", "{",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if result, err := answer(data, 1); err != nil && result != nil {
			t.Errorf("both %s and %v", result, err)
		}
		if _, err := answer([]byte(`{"id":2,"result":{}}`), 1); err == nil {
			t.Error("took another request's answer")
		}
	})
}
