package failure

import (
	"strconv"
	"strings"
	"time"
)

// MaxWait bounds what a provider may ask for.
const MaxWait = 24 * time.Hour

// RetryAfter reads how long a provider asks to wait: retry-after-ms and
// x-ms-retry-after-ms, then Retry-After (seconds or an HTTP date), then the
// reset headers of OpenAI (x-ratelimit-reset-*) and Anthropic
// (anthropic-ratelimit-*-reset), of which those count whose remainder is used
// up, or the soonest if none says so. It is 0 if nothing is said.
func RetryAfter(h Header, now time.Time) time.Duration {
	for _, name := range [...]string{"retry-after-ms", "x-ms-retry-after-ms"} {
		if ms, err := strconv.ParseFloat(strings.TrimSpace(h.Get(name)), 64); err == nil && ms > 0 {
			return seconds(ms / 1000)
		}
	}
	if v := strings.TrimSpace(h.Get("Retry-After")); v != "" {
		if s, err := strconv.ParseFloat(v, 64); err == nil {
			return seconds(s)
		}
		if t, ok := httpDate(v); ok {
			return bound(t.Sub(now))
		}
	}
	return reset(h, now)
}

// limits are the pairs of headers: what is left, and when it is whole again.
var limits = [...][2]string{
	{"x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"},
	{"x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"},
	{"anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"},
	{"anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"},
	{"anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"},
	{"anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"},
}

func reset(h Header, now time.Time) time.Duration {
	var used, soonest time.Duration
	for _, l := range limits {
		wait := until(h.Get(l[1]), now)
		if wait <= 0 {
			continue
		}
		if left, err := strconv.Atoi(h.Get(l[0])); err == nil && left <= 0 {
			used = max(used, wait)
		}
		if soonest == 0 || wait < soonest {
			soonest = wait
		}
	}
	if used > 0 {
		return used
	}
	return soonest
}

// until reads a reset: a duration (6m0s, 12ms), a time (RFC 3339), or a number,
// which is seconds from now or, if large, seconds since 1970.
func until(v string, now time.Time) time.Duration {
	v = strings.TrimSpace(v)
	if v == "" {
		return 0
	}
	if d, err := time.ParseDuration(v); err == nil {
		return bound(d)
	}
	if t, err := time.Parse(time.RFC3339, v); err == nil {
		return bound(t.Sub(now))
	}
	s, err := strconv.ParseFloat(v, 64)
	const longAgo = 1 << 30 // 2004, as seconds since 1970
	switch {
	case err != nil:
		return 0
	case s > longAgo && s < 1<<40:
		return bound(time.Unix(int64(s), 0).Sub(now))
	}
	return seconds(s)
}

// spoken finds what a message says about waiting: OpenAI's "try again in 6m0s"
// and Azure's "retry after 10 seconds" come where their headers are missing.
func spoken(message string) time.Duration {
	for _, words := range [...]string{"try again in ", "retry after "} {
		_, rest, found := strings.Cut(strings.ToLower(message), words)
		if !found {
			continue
		}
		number, rest, _ := strings.Cut(strings.TrimRight(rest, ". "), " ")
		number = strings.TrimRight(number, ".,")
		if d, err := time.ParseDuration(number); err == nil {
			return bound(d)
		}
		unit := 1.0
		if strings.HasPrefix(rest, "milli") {
			unit = 0.001
		} else if strings.HasPrefix(rest, "minute") {
			unit = 60
		}
		if n, err := strconv.ParseFloat(number, 64); err == nil {
			return seconds(n * unit)
		}
	}
	return 0
}

// httpDate reads the three forms of RFC 9110, section 5.6.7.
func httpDate(v string) (time.Time, bool) {
	for _, layout := range [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, v); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func seconds(s float64) time.Duration {
	if !(s > 0) {
		return 0
	}
	if s >= MaxWait.Seconds() {
		return MaxWait
	}
	return time.Duration(s * float64(time.Second))
}

func bound(d time.Duration) time.Duration { return min(max(d, 0), MaxWait) }
