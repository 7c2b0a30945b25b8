package cmd

import (
	"errors"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// dlqOptions are what the commands on dead letters share.
type dlqOptions struct {
	config string
	letterFilter
}

func (o *dlqOptions) flags(p *program, c *cobra.Command) {
	configFlag(p, c, &o.config)
	o.letterFilter.flags(c)
}

func newDLQ(p *program) *cobra.Command {
	c := &cobra.Command{
		Use:   "dlq",
		Short: "See, replay, export and remove dead letters",
		Long: `What can never be flushed becomes a dead letter: on NATS in the stream
<stream>_<durable>_DLQ, on Kafka in the topic <topic>.<group>.dlq, or in the directory
that dead_letter.file names. A letter keeps its payload untouched, what happened to it,
and where it came from. These commands work beside running workers; an embedded queue
is asked while its worker runs.

A letter that was replayed or purged is resolved: no command shows it again, also where
the queue itself still keeps its bytes. A letter that cannot be read, because chunks of
it are missing or a later version of flushline wrote it, is damaged: it is shown and
counted, and kept until it is purged with --damaged.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newDLQLs(p), newDLQShow(p), newDLQStats(p), newDLQReplay(p), newDLQExport(p), newDLQPurge(p))
	return c
}

// untilClosed lets a pipe whose reader has gone away be an error of writing, instead of
// the end of the process, for a command that only prints. left says that it was no more
// than that.
func untilClosed() (left func(error) error) {
	signal.Ignore(syscall.SIGPIPE)
	return func(err error) error {
		if errors.Is(err, syscall.EPIPE) {
			return nil
		}
		return err
	}
}
