package atomicfile

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"
)

// Value keeps the last of the values that it is given in a file, as JSON that
// outlives a loss of power. It is safe for concurrent use.
type Value[T any] struct {
	path   string
	failed func(error)
	later  *Later

	mu   sync.Mutex
	next *T // nil when the file holds the last one
}

// NewValue makes one that writes pause after it was given a value. failed is told
// why a value could not be written; the next one is tried again.
func NewValue[T any](path string, pause time.Duration, failed func(error)) *Value[T] {
	v := &Value[T]{path: path, failed: failed}
	v.later = NewLater(pause, v.write)
	return v
}

// Load reads what the file holds: the zero value where there is none, or where it
// cannot be read.
func (v *Value[T]) Load() (T, error) {
	var x, none T
	data, err := os.ReadFile(v.path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &x)
	}
	if err != nil {
		return none, err
	}
	return x, nil
}

// Save writes x soon; of several only the last. x is not to change any more.
func (v *Value[T]) Save(x T) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.next = &x
	v.later.Ask()
}

func (v *Value[T]) write() {
	v.mu.Lock()
	x := v.next
	v.next = nil
	v.mu.Unlock()
	if x == nil {
		return
	}
	data, err := json.Marshal(x)
	if err == nil {
		err = ReplaceSynced(v.path, data)
	}
	if err != nil {
		v.failed(err)
	}
}

// Close writes what is not written yet.
func (v *Value[T]) Close() { v.later.Close() }
