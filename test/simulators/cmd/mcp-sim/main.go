// Mcp-sim runs a simulated MCP server; see package tools for what it offers.
package main

import (
	"flag"
	"fmt"

	"github.com/navehq/nave/test/simulators/process"
	"github.com/navehq/nave/test/simulators/tools"
)

func main() { process.Main("mcp-sim", run) }

func run(set *flag.FlagSet, args []string) error {
	var options tools.Options
	front := process.Flags(set, "")
	kind := set.String("kind", "tools", "tools, or math: a plain JSON server with two tools")
	set.StringVar(&options.Name, "name", "tools", "the server's name, in its answers")
	set.StringVar(&options.Region, "region", "local", "its region, in its answers")
	set.BoolVar(&options.JSON, "json", false, "answer with JSON instead of events, where it can")
	if err := set.Parse(args); err != nil {
		return err
	}
	switch *kind {
	case "tools":
		return front.Serve(tools.New(options))
	case "math":
		return front.Serve(tools.Math())
	}
	return fmt.Errorf("kind %q is neither tools nor math", *kind)
}
