package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// order is one measurement; Rate 0 is as fast as the connections go.
type order struct {
	Address     string
	Connections int
	Rate        int
	Duration    time.Duration
}

// found is what the clients saw. Latency is counted from when a request was due.
type found struct {
	Requests int
	Took     time.Duration
	P50, P99 time.Duration
	// CPU is the clients' own processor time, all of it.
	CPU time.Duration
}

// generate carries out an order, given as JSON, and writes what it found.
func generate(text string, w io.Writer) error {
	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err != nil {
		return err
	}
	due := make(chan time.Time, o.Connections)
	ends := make(chan error, o.Connections)
	var mu sync.Mutex
	var all []time.Duration
	begun := time.Now()
	for range o.Connections {
		c, err := net.Dial("tcp", o.Address)
		if err != nil {
			return err
		}
		defer c.Close()
		go func() {
			took, err := o.client(c, due, begun.Add(o.Duration))
			mu.Lock()
			all = append(all, took...)
			mu.Unlock()
			ends <- err
		}()
	}
	o.schedule(begun, due)
	for range o.Connections {
		if err := <-ends; err != nil {
			return err
		}
	}
	f := found{Requests: len(all), Took: time.Since(begun)}
	if f.CPU, err = spent(os.Getpid()); err != nil {
		return err
	}
	slices.Sort(all)
	if len(all) > 0 {
		f.P50, f.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return json.NewEncoder(w).Encode(f)
}

// schedule says when requests are due, and closes due after the last; without a
// rate there is no schedule.
func (o order) schedule(begun time.Time, due chan<- time.Time) {
	defer close(due)
	if o.Rate == 0 {
		return
	}
	gap := time.Second / time.Duration(o.Rate)
	for at := begun; at.Before(begun.Add(o.Duration)); at = at.Add(gap) {
		for d := time.Until(at); d > 0; d = time.Until(at) {
			pause(d)
		}
		due <- at
	}
}

// client sends one request after the other on a connection.
func (o order) client(c net.Conn, due <-chan time.Time, end time.Time) ([]time.Duration, error) {
	r := bufio.NewReaderSize(c, 16<<10)
	text := question(o.Address)
	var took []time.Duration
	send := func(at time.Time) error {
		if err := exchange(c, r, text); err != nil {
			return err
		}
		took = append(took, time.Since(at))
		return nil
	}
	if o.Rate > 0 {
		for at := range due {
			if err := send(at); err != nil {
				return nil, err
			}
		}
		return took, nil
	}
	for at := time.Now(); at.Before(end); at = time.Now() {
		if err := send(at); err != nil {
			return nil, err
		}
	}
	return took, nil
}
