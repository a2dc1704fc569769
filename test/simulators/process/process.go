// Package process is what the simulators' mains have in common: they end at once
// when they are told to, and serve with or without TLS. It knows nothing of what
// they serve.
package process

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/navehq/nave/test/simulators/authority"
)

// Main runs a simulator until it fails or SIGTERM or SIGINT comes, which ends the
// process with 0 and no delay: a killed region takes nobody's leave.
func Main(name string, run func(*flag.FlagSet, []string) error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		os.Exit(0)
	}()
	err := run(flag.NewFlagSet(name, flag.ContinueOnError), os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Front is where a simulator serves.
type Front struct {
	listen, hosts, root *string
}

// Flags adds the flags that a Front is made of. Hosts are served TLS for by
// default; "" is no TLS.
func Flags(set *flag.FlagSet, hosts string) Front {
	return Front{
		listen: set.String("listen", "127.0.0.1:0", "the address to serve on"),
		hosts:  set.String("tls", hosts, "the names and addresses to serve TLS for, by comma; none means no TLS"),
		root:   set.String("ca-out", "", "where to write the root certificate, with -tls"),
	}
}

// Serve prints its URL once it listens, and returns only an error. The root
// certificate is written before.
func (f Front) Serve(handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	scheme := "http"
	if hosts := List(*f.hosts); len(hosts) > 0 {
		scheme = "https"
		issuer, err := authority.New("simulators")
		if err != nil {
			return err
		}
		if server.TLSConfig, err = issuer.Serve(hosts...); err != nil {
			return err
		}
		if *f.root != "" {
			if err := issuer.WriteFile(*f.root); err != nil {
				return err
			}
		}
	}
	listener, err := net.Listen("tcp", *f.listen)
	if err != nil {
		return err
	}
	fmt.Printf("serving on %s://%s\n", scheme, listener.Addr())
	if scheme == "http" {
		return server.Serve(listener)
	}
	return server.ServeTLS(listener, "", "")
}

// List splits a flag's value at its commas; nil for nothing.
func List(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}
