// Entra-sim runs a double of Microsoft Entra's token endpoint; see package entra
// for what it checks.
package main

import (
	"flag"
	"time"

	"github.com/navehq/nave/test/simulators/entra"
	"github.com/navehq/nave/test/simulators/process"
)

func main() { process.Main("entra-sim", run) }

func run(set *flag.FlagSet, args []string) error {
	var options entra.Options
	front := process.Flags(set, "127.0.0.1,localhost,login.microsoftonline.com")
	set.StringVar(&options.Tenant, "tenant", "", "the tenant's id")
	set.StringVar(&options.Client, "client", "", "the application's client id")
	set.StringVar(&options.Issuer, "issuer", "", "the issuer that the assertion must name")
	set.StringVar(&options.Subject, "subject", "", "the subject that the assertion must name")
	set.StringVar(&options.Audience, "audience", entra.DefaultAudience, "the audience that the assertion must name")
	set.StringVar(&options.TokenFile, "token-file", "", "the file whose content the assertion must be")
	set.StringVar(&options.Token, "token", "", "the access token to hand out; empty makes signed ones")
	set.DurationVar(&options.Life, "life", time.Hour, "how long an access token is good for")
	if err := set.Parse(args); err != nil {
		return err
	}
	double, err := entra.New(options)
	if err != nil {
		return err
	}
	return front.Serve(double)
}
