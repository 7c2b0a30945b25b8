// Package cmd is the flushline program: one file per command; open.go, the
// one place that turns a configuration into queues; and queue_*.go, what the
// commands do with each kind of queue. A program with flushers of
// its own is a main that calls [Main] with their kinds.
package cmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/all"
	"github.com/flushline/flushline/option"
)

// Version is set by the linker.
var Version = "dev"

// Main runs the program with the built-in kinds of flushers and the given ones,
// and returns its exit code. A kind of a built-in's name is refused.
func Main(kinds ...flushers.Kind) int {
	p := &program{env: os.LookupEnv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	return p.run(context.Background(), os.Args[1:], kinds)
}

// program is what the commands share: the outside world and the known kinds.
type program struct {
	kinds  *flushers.Registry
	env    func(string) (string, bool)
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

func (p *program) run(ctx context.Context, args []string, extra []flushers.Kind) (code int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(p.stderr, "flushline: this is a defect, please report it: %v\n%s", r, debug.Stack())
			code = exitDefect
		}
	}()
	kinds, err := flushers.NewRegistry(append(all.Kinds(), extra...)...)
	if err != nil {
		return report(p.stderr, usage(err))
	}
	p.kinds = kinds
	root, began := newRoot(p)
	root.SetArgs(args)
	err = root.ExecuteContext(ctx)
	if err != nil && !*began {
		err = usage(err) // the command line was refused before a command ran
	}
	return report(p.stderr, err)
}

const rootLong = `flushline takes LogGroups from a queue, routes them by project, logstore and
config to flushers, and acknowledges a message only after its data is durable.

Start here:
  flushline demo                          see it work, on a queue of its own
  flushline check -c flushline.yaml       what is wrong with a configuration
  flushline setup -c flushline.yaml       make what it needs at the broker
  flushline run   -c flushline.yaml       the worker
` + exitHelp

// newRoot builds the command tree; began is set when one of its commands runs.
func newRoot(p *program) (root *cobra.Command, began *bool) {
	began = new(bool)
	root = &cobra.Command{
		Use:                "flushline",
		Short:              "Moves LogGroups from a queue to where they are kept",
		Long:               rootLong,
		Args:               noArgs,
		SilenceErrors:      true,
		SilenceUsage:       true,
		DisableSuggestions: true, // knownCommand does it better
		RunE:               func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		newRun(p), newReplay(p), newBackfill(p), newJob(p), newParked(p), newDLQ(p), newCheck(p), newSetup(p), newDemo(p), newPublish(p),
		newExplain(p), newStatus(p), newWhy(p), newReload(p), newPause(p), newResume(p), newTap(p), newFlushers(p), newSchema(p), newVersion(p),
	)
	root.InitDefaultCompletionCmd()
	usageErrors(root, began)
	return root, began
}

// usageErrors makes wrong arguments of any command say what was meant and which
// help to read, and notes when one runs: errors before that exit with 64.
func usageErrors(c *cobra.Command, began *bool) {
	check := c.Args
	if check == nil {
		check = cobra.ArbitraryArgs
	}
	if c.HasSubCommands() {
		check = knownCommand
		if c.RunE == nil && c.Run == nil {
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usage(fmt.Errorf("%w\nsee `%s --help`", err, c.CommandPath()))
		}
		return nil
	}
	if run := c.RunE; run != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			*began = true
			return run(c, args)
		}
	}
	for _, sub := range c.Commands() {
		usageErrors(sub, began)
	}
}

// knownCommand is reached with arguments only when none of them is a command.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, append([]string{sub.Name()}, sub.Aliases...)...)
		}
	}
	hint := ""
	if near := option.Suggest(args[0], names); near != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", near)
	}
	return fmt.Errorf("there is no command %q below `%s`%s", args[0], c.CommandPath(), hint)
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("`%s` takes no arguments, got %q", c.CommandPath(), args)
	}
	return nil
}
