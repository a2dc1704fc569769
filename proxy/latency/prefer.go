package latency

import "time"

// Margins say when a faster one is preferred anew: both must hold, for Window.
type Margins struct {
	Absolute time.Duration
	Percent  int
	Window   time.Duration
}

// Offer is one that could be preferred.
type Offer struct {
	Name string
	Estimate
}

// Preference is what is preferred, and who has been better since when.
type Preference struct {
	Current    string
	Challenger string
	Since      time.Time
}

// Prefer gives the next preference. What is no longer offered is left at once;
// what is offered is left only for one that is faster by both margins and has
// been for the whole window. Where the current one is unknown it stays: a
// measurement that fails must not move traffic.
func Prefer(p Preference, m Margins, offers []Offer, now time.Time) Preference {
	var current, best *Offer
	for i := range offers {
		o := &offers[i]
		if o.Name == p.Current {
			current = o
		}
		if o.Known && (best == nil || o.Value < best.Value || o.Value == best.Value && o.Name < best.Name) {
			best = o
		}
	}
	switch {
	case best == nil && current != nil:
		return Preference{Current: p.Current}
	case best == nil:
		return Preference{}
	case current == nil:
		return Preference{Current: best.Name}
	case !current.Known || !better(best.Value, current.Value, m):
		return Preference{Current: p.Current}
	}
	if p.Challenger != best.Name {
		p.Challenger, p.Since = best.Name, now
	}
	if now.Sub(p.Since) >= m.Window {
		return Preference{Current: best.Name}
	}
	return p
}

func better(challenger, current time.Duration, m Margins) bool {
	return challenger < current && challenger+m.Absolute <= current &&
		challenger*time.Duration(100+m.Percent) <= current*100
}
