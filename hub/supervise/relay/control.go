package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// serveControl answers on listener until ctx ends:
//
//	GET /config   the configuration in force
//	PUT /config   replaces it; 204, or 400 with what is wrong
//	GET /status   []RouteStatus
func (r *Relay) serveControl(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /config", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, r.Config()) })
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, r.Status()) })
	mux.HandleFunc("PUT /config", r.putConfig)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving a relay's control interface: %w", err)
	}
	return nil
}

func (r *Relay) putConfig(w http.ResponseWriter, request *http.Request) {
	config, err := Decode(request.Body)
	if err == nil {
		err = r.Set(config)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("content-type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the asker may have left
}

// Push replaces the configuration of a relay that is controlled at the Unix
// socket; when it returns nil, the new one is in force.
func Push(ctx context.Context, socket string, config Config) error {
	body, err := json.Marshal(config)
	if err == nil {
		_, err = call(ctx, socket, http.MethodPut, "/config", body)
	}
	if err != nil {
		return fmt.Errorf("pushing a configuration to the relay at %q: %w", socket, err)
	}
	return nil
}

// FetchStatus asks a relay that is controlled at the Unix socket for its Status.
func FetchStatus(ctx context.Context, socket string) ([]RouteStatus, error) {
	var all []RouteStatus
	body, err := call(ctx, socket, http.MethodGet, "/status", nil)
	if err == nil {
		err = json.Unmarshal(body, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the relay at %q for its status: %w", socket, err)
	}
	return all, nil
}

func call(ctx context.Context, socket, method, path string, body []byte) ([]byte, error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, method, "http://relay"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxConfigBytes*2))
	if err == nil && response.StatusCode >= 300 {
		err = errors.New(strings.TrimSpace(string(answer)))
	}
	return answer, err
}
