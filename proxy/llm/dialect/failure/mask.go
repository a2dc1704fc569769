package failure

import "strings"

const masked = "[masked]"

// Mask replaces what looks like a credential, whole or already shortened by
// the provider (sk-abc***xyz), and anything that is no printable text.
func Mask(s string) string {
	var out strings.Builder
	changed := false
	for i := 0; i < len(s); {
		n := tokenLen(s[i:])
		switch {
		case n == 0:
			if s[i] < ' ' && s[i] != '\n' && s[i] != '\t' || s[i] == 0x7f {
				out.WriteByte(' ')
				changed = true
			} else {
				out.WriteByte(s[i])
			}
			i++
			continue
		case secret(s[i : i+n]):
			out.WriteString(masked)
			changed = true
		default:
			out.WriteString(s[i : i+n])
		}
		i += n
	}
	if !changed {
		return s
	}
	return out.String()
}

// tokenLen is the length of the run of characters that keys are made of.
func tokenLen(s string) int {
	for i := 0; i < len(s); i++ {
		k := s[i]
		if k|0x20 >= 'a' && k|0x20 <= 'z' || k-'0' <= 9 || k == '_' || k == '-' || k == '*' || k == '.' || k == '+' || k == '/' || k == '=' {
			continue
		}
		return i
	}
	return len(s)
}

// keyPrefixes begin the keys of providers, clouds and tokens in general.
var keyPrefixes = []string{
	"sk-", "sk_", "pk-", "rk-", "gsk_", "xai-", "AIza", "ya29.", "eyJ", "AKIA", "ASIA", "hf_", "r8_", "pplx-", "tgp_", "csk-", "fw_", "nvapi-",
}

func secret(token string) bool {
	if strings.Contains(token, "***") {
		return true
	}
	for _, p := range keyPrefixes {
		if len(token) > len(p)+3 && strings.HasPrefix(token, p) {
			return true
		}
	}
	return random(token)
}

// random tells whether a token holds 32 letters and digits in a row, of both:
// Azure's keys and secrets in general. Ids with dashes are shorter in between.
func random(token string) bool {
	run, letters, digits := 0, 0, 0
	for i := 0; i < len(token); i++ {
		switch k := token[i]; {
		case k-'0' <= 9:
			run++
			digits++
		case k|0x20 >= 'a' && k|0x20 <= 'z':
			run++
			letters++
		default:
			run, letters, digits = 0, 0, 0
		}
		if run >= 32 && letters > 0 && digits > 0 {
			return true
		}
	}
	return false
}
