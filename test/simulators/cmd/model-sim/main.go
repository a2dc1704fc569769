// Model-sim runs a simulated model provider; see package model for what it does
// and how it is administered.
package main

import (
	"flag"
	"fmt"
	"strings"

	"github.com/navehq/nave/test/simulators/model"
	"github.com/navehq/nave/test/simulators/process"
)

func main() { process.Main("model-sim", run) }

func run(set *flag.FlagSet, args []string) error {
	var options model.Options
	front := process.Flags(set, "")
	set.StringVar(&options.Name, "name", "sim", "the simulator's name, in its answers")
	set.StringVar(&options.Region, "region", "local", "its region, in its answers")
	set.DurationVar(&options.FirstToken, "first-token", 0, "the time to the first token")
	set.DurationVar(&options.Gap, "gap", 0, "the time between tokens")
	set.Uint64Var(&options.Seed, "seed", 0, "makes the faults' chances repeatable")
	models := set.String("models", "", "the models served, by comma; none means any")
	keys := set.String("keys", "", "the keys accepted, by comma; none, and no bearers, means anyone")
	bearers := set.String("bearers", "", "the bearer tokens accepted, by comma")
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
	if err := set.Parse(args); err != nil {
		return err
	}
	options.Models, options.Keys, options.Bearers = process.List(*models), process.List(*keys), process.List(*bearers)
	return front.Serve(model.New(options))
}
