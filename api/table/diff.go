package table

import "bytes"

// Diff lists the changes that lead from one table to another, in order.
// Applying them to from gives a table equal to to.
func Diff(from, to Table) []Change {
	var changes []Change
	a, b := from.resources.Iterator(), to.resources.Iterator()
	for !a.Done() && !b.Done() {
		old, before, _ := a.Next()
		now, after, _ := b.Next()
		switch c := old.Compare(now); {
		case c < 0:
			changes = append(changes, Remove(old))
			b.Seek(now)
		case c > 0:
			changes = append(changes, Put(after))
			a.Seek(old)
		case !Same(before, after):
			changes = append(changes, Put(after))
		}
	}
	for !a.Done() {
		old, _, _ := a.Next()
		changes = append(changes, Remove(old))
	}
	for !b.Done() {
		_, after, _ := b.Next()
		changes = append(changes, Put(after))
	}
	return changes
}

// Same tells whether two resources say the same.
func Same(a, b Resource) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil {
		return false
	}
	x, errX := Encode(a)
	y, errY := Encode(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
