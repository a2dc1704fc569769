// Package audit keeps what people and automation ordered: who, what, when, why
// and what came of it, one line of JSON each, every line bound to the one before
// by its hash. It decides nothing, forgets nothing, and holds no secret.
package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxText is what of one field is kept, and maxLine what is read of a line;
	// bytes. JSON writes one byte by six at most.
	maxText = 1 << 10
	maxLine = 64 << 10
	// remembered is how many of the last entries Recent can give.
	remembered = 100
)

// Entry is one order.
type Entry struct {
	At  time.Time `json:"at"`
	Who string    `json:"who"`
	// What was ordered, as the command line calls it: cordon, drill start.
	What string `json:"what"`
	// On is the cluster or the drill; "" is the fleet.
	On  string `json:"on,omitempty"`
	Why string `json:"why,omitempty"`
	// Until is when it ends by itself.
	Until time.Time `json:"until,omitzero"`
	// Refused is why it was not done.
	Refused string `json:"refused,omitempty"`
	// Previous is the hash of the entry before; Hash is the hex SHA-256 of this
	// one's JSON without it.
	Previous string `json:"previous,omitempty"`
	Hash     string `json:"hash,omitempty"`
}

// sum is the hash that belongs to an entry.
func (e Entry) sum() (string, error) {
	e.Hash = ""
	data, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// Log is a file of entries, written by one process at a time. It is safe for
// concurrent use.
type Log struct {
	path string
	now  func() time.Time

	mu   sync.Mutex
	last string
	tail []Entry
}

// Open takes up the log at path, or begins it. What a crash left half written at
// the end is taken out; a line that is broken otherwise stays for Verify to find.
func Open(path string, now func() time.Time) (*Log, error) {
	l := &Log{path: path, now: now}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	whole, err := each(file, func(_ int, e Entry, err error) error {
		if err == nil {
			l.remember(e)
		}
		return nil
	})
	if err == nil {
		err = file.Truncate(whole)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	return l, nil
}

func (l *Log) remember(e Entry) {
	l.last = e.Hash
	l.tail = append(l.tail, e)
	if len(l.tail) > 2*remembered {
		l.tail = slices.Clone(l.tail[len(l.tail)-remembered:])
	}
}

// Append writes an order down, dated now where it has no date; it is on the disk
// when Append returns. Texts that are too long are cut.
func (l *Log) Append(e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.At.IsZero() {
		e.At = l.now()
	}
	e.At, e.Until = e.At.UTC().Truncate(time.Millisecond), e.Until.UTC().Truncate(time.Second)
	for _, text := range []*string{&e.Who, &e.What, &e.On, &e.Why, &e.Refused} {
		*text = cut(*text)
	}
	e.Previous = l.last
	var err error
	if e.Hash, err = e.sum(); err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	data, err := json.Marshal(e)
	if err == nil {
		err = l.write(append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	l.remember(e)
	return nil
}

// write adds a line, or takes back what of it came to the disk.
func (l *Log) write(line []byte) error {
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if _, err = file.Write(line); err == nil {
		err = file.Sync()
	}
	if err != nil {
		err = errors.Join(err, file.Truncate(info.Size()))
	}
	return errors.Join(err, file.Close())
}

// cut makes a text valid and at most maxText bytes long.
func cut(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.ToValidUTF8(text, "")
}

// Recent gives the last n entries, the oldest first.
func (l *Log) Recent(n int) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.tail[max(0, len(l.tail)-max(0, min(n, remembered))):])
}

// Read gives the last n entries that can be read; what is half written at the
// end is not there yet.
func Read(r io.Reader, n int) ([]Entry, error) {
	var out []Entry
	n = max(0, n)
	_, err := each(r, func(_ int, e Entry, err error) error {
		if err == nil {
			out = append(out, e)
		}
		if len(out) > 2*n {
			out = slices.Clone(out[len(out)-n:])
		}
		return nil
	})
	return out[max(0, len(out)-n):], err
}

// Verify tells how many entries hold together from the first one on, and what is
// wrong with the one after them: an entry was changed, taken out or put in. Whole
// entries that were cut off at the end leave no trace in the file itself.
func Verify(r io.Reader) (int, error) {
	count, last := 0, ""
	_, err := each(r, func(line int, e Entry, err error) error {
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		sum, err := e.sum()
		switch {
		case err != nil:
			return fmt.Errorf("line %d: %w", line, err)
		case sum != e.Hash:
			return fmt.Errorf("line %d: was changed: its hash is %q, and it says %q", line, sum, e.Hash)
		case e.Previous != last:
			return fmt.Errorf("line %d: does not follow the one before it: entries were taken out or put in", line)
		}
		last = e.Hash
		count++
		return nil
	})
	return count, err
}

// each gives every whole line, numbered from 1, and how many bytes they are.
func each(r io.Reader, take func(line int, e Entry, err error) error) (whole int64, err error) {
	lines := newLines(r)
	for n := 1; ; n++ {
		text, err := lines.next()
		if errors.Is(err, io.EOF) {
			return lines.read, nil
		}
		if err != nil && !errors.Is(err, errTooLong) {
			return lines.read, err
		}
		var e Entry
		if err == nil {
			err = decode(text, &e)
		}
		if err := take(n, e, err); err != nil {
			return lines.read, err
		}
	}
}

func decode(text []byte, into *Entry) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("is no entry: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("is no entry: more follows it")
	}
	return nil
}
