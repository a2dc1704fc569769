// Entra-sim runs a double of Microsoft Entra's token endpoint; see package entra
// for what it checks. It ends at once when it is told to.
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
	"github.com/navehq/nave/test/simulators/entra"
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		os.Exit(0)
	}()
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "entra-sim:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var options entra.Options
	set := flag.NewFlagSet("entra-sim", flag.ContinueOnError)
	listen := set.String("listen", "127.0.0.1:0", "the address to serve on")
	hosts := set.String("tls", "127.0.0.1,localhost,login.microsoftonline.com", "the names and addresses that the certificate is for, by comma")
	root := set.String("ca-out", "", "where to write the root certificate")
	set.StringVar(&options.Tenant, "tenant", "", "the tenant's id")
	set.StringVar(&options.Client, "client", "", "the application's client id")
	set.StringVar(&options.Issuer, "issuer", "", "the issuer that the assertion must name")
	set.StringVar(&options.Subject, "subject", "", "the subject that the assertion must name")
	set.StringVar(&options.Audience, "audience", entra.DefaultAudience, "the audience that the assertion must name")
	set.StringVar(&options.TokenFile, "token-file", "", "the file whose content the assertion must be")
	set.StringVar(&options.Token, "token", "", "the access token to hand out; empty makes signed ones")
	set.DurationVar(&options.Life, "life", time.Hour, "how long an access token is good for")
	if err := set.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	double, err := entra.New(options)
	if err != nil {
		return err
	}
	return serve(*listen, strings.Split(*hosts, ","), *root, double)
}

func serve(listen string, hosts []string, root string, handler http.Handler) error {
	issuer, err := authority.New("entra-sim")
	if err != nil {
		return err
	}
	if root != "" {
		if err := issuer.WriteFile(root); err != nil {
			return err
		}
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	if server.TLSConfig, err = issuer.Serve(hosts...); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("serving on https://%s\n", listener.Addr())
	return server.ServeTLS(listener, "", "")
}
