// Model-sim runs a simulated model provider; see package model for what it does
// and how it is administered. It ends at once when it is told to.
package main

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
	"github.com/navehq/nave/test/simulators/model"
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		os.Exit(0)
	}()
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "model-sim:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var options model.Options
	set := flag.NewFlagSet("model-sim", flag.ContinueOnError)
	listen := set.String("listen", "127.0.0.1:0", "the address to serve on")
	set.StringVar(&options.Name, "name", "sim", "the simulator's name, in its answers")
	set.StringVar(&options.Region, "region", "local", "its region, in its answers")
	set.DurationVar(&options.FirstToken, "first-token", 0, "the time to the first token")
	set.DurationVar(&options.Gap, "gap", 0, "the time between tokens")
	set.Uint64Var(&options.Seed, "seed", 0, "makes the faults' chances repeatable")
	models := set.String("models", "", "the models served, by comma; none means any")
	keys := set.String("keys", "", "the keys accepted, by comma; none, and no bearers, means anyone")
	bearers := set.String("bearers", "", "the bearer tokens accepted, by comma")
	hosts := set.String("tls", "", "the names and addresses to serve TLS for, by comma; none means no TLS")
	root := set.String("ca-out", "", "where to write the root certificate, with -tls")
	set.Func("deployment", "an Azure deployment, as NAME=MODEL; repeatable", func(text string) error {
		name, model, found := strings.Cut(text, "=")
		if !found || name == "" || model == "" {
			return fmt.Errorf("%q is not NAME=MODEL", text)
		}
		if options.Deployments == nil {
			options.Deployments = map[string]string{}
		}
		options.Deployments[name] = model
		return nil
	})
	set.Func("fault", `a fault as JSON, as in {"kind":"status","status":503,"count":3}; repeatable`, func(text string) error {
		fault, err := model.ParseFault([]byte(text))
		options.Faults = append(options.Faults, fault)
		return err
	})
	if err := set.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	options.Models, options.Keys, options.Bearers = list(*models), list(*keys), list(*bearers)
	return serve(*listen, list(*hosts), *root, model.New(options))
}

func serve(listen string, hosts []string, root string, handler http.Handler) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	if len(hosts) == 0 {
		fmt.Printf("serving on http://%s\n", listener.Addr())
		return server.Serve(listener)
	}
	issuer, err := authority.New("model-sim")
	if err != nil {
		return err
	}
	if root != "" {
		if err := issuer.WriteFile(root); err != nil {
			return err
		}
	}
	if server.TLSConfig, err = issuer.Serve(hosts...); err != nil {
		return err
	}
	fmt.Printf("serving on https://%s\n", listener.Addr())
	return server.ServeTLS(listener, "", "")
}

func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}
