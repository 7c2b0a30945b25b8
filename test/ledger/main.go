// Command ledger runs the delivery ledger by hand, against a broker and a worker
// that somebody else started:
//
//	go run ./test/ledger produce -url nats://127.0.0.1:4222 -journal j -groups 100000
//	go run ./test/ledger judge -journal j -in archive [-project shop] [-once] [-json]
//	go run ./test/ledger judge -from nats://127.0.0.1:4222/LOGS -in kafka://127.0.0.1:9092/copy
//
// A place is a directory of flushed files, nats://HOST:PORT/STREAM, or
// kafka://HOST:PORT/TOPIC. -from takes what was sent from such a place, for traffic
// that nobody kept a journal of.
//
// judge ends with 0 when nothing is lost, spurious or corrupt (with -once: nor
// duplicate), with 65 when something is, and with 1 when it couldn't tell.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flushline/flushline/internal/ledger"
)

const exitBroken = 65

// errBroken says that the verdict stands on the screen and is no acquittal.
var errBroken = errors.New("the promise was not kept")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:])
	switch {
	case errors.Is(err, errBroken):
		os.Exit(exitBroken)
	case err != nil:
		fmt.Fprintln(os.Stderr, "ledger:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, []string) error{"produce": produce, "judge": judge}
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("use: ledger produce|judge [flags]")
	}
	return commands[args[0]](ctx, args[1:])
}

func produce(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("produce", flag.ExitOnError)
	url := f.String("url", nats.DefaultURL, "broker")
	path := f.String("journal", "ledger.journal", "file for what was tried and confirmed")
	keys := f.Int("keys", 50, "keys to spread over")
	project := f.String("project", "shop", "project of all keys")
	load := ledger.Load{Logs: 2, Start: time.Now()}
	f.StringVar(&load.Run, "run", "r", "name of the run, part of every id")
	f.IntVar(&load.Groups, "groups", 0, "confirmed groups to end with; 0: until interrupted")
	f.IntVar(&load.Rate, "rate", 0, "groups a second; 0: as fast as confirmed")
	f.IntVar(&load.Bytes, "bytes", 0, "filler for each log")
	if err := f.Parse(args); err != nil {
		return err
	}
	nc, err := nats.Connect(*url, nats.MaxReconnects(-1))
	if err != nil {
		return fmt.Errorf("couldn't connect to %s: %w", *url, err)
	}
	defer nc.Close()
	journal, err := ledger.OpenJournal(*path)
	if err != nil {
		return err
	}
	load.Keys = ledger.Keys(*keys, *project)
	return errors.Join(ledger.Produce(ctx, nc, load, journal), journal.Close())
}
