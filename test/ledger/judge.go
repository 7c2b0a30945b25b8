package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/ledger/kafka"
	"github.com/flushline/flushline/protocol"
)

func judge(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("judge", flag.ContinueOnError)
	path := f.String("journal", "ledger.journal", "file that produce wrote")
	from := f.String("from", "", "place of what was sent, instead of the journal")
	in := f.String("in", ".", "place of what was flushed")
	project := f.String("project", "", "judge this project's keys only")
	once := f.Bool("once", false, "duplicates are a failure")
	asJSON := f.Bool("json", false, "print JSON")
	var files ledger.Files
	f.StringVar(&files.Run, "run", "r", "name of the run")
	if err := f.Parse(args); err != nil {
		return err
	}
	book, marks, err := sent(ctx, *path, *from, files)
	if err != nil {
		return err
	}
	count := ledger.NewCount(book, func(k protocol.Key) bool { return *project == "" || k.Project == *project })
	count.Time(marks)
	if err := read(ctx, *in, files, count.See); err != nil {
		return err
	}
	v := count.Verdict()
	write := v.Write
	if *asJSON {
		write = v.WriteJSON
	}
	if err := write(os.Stdout); err != nil {
		return err
	}
	if !v.Kept() || *once && !v.Once() {
		return errBroken
	}
	return nil
}

// sent is what a journal or a source says.
func sent(ctx context.Context, path, from string, files ledger.Files) (ledger.Book, []ledger.Mark, error) {
	if from == "" {
		book, err := ledger.LoadBook(path)
		if err != nil {
			return nil, nil, err
		}
		marks, err := ledger.LoadMarks(path)
		return book, marks, err
	}
	var found ledger.BookOf
	if err := read(ctx, from, files, found.See); err != nil {
		return nil, nil, err
	}
	book, bad := found.Book()
	if bad.Count > 0 {
		return nil, nil, fmt.Errorf("%s holds %d logs that are not of run %s, or damaged: %s", from, bad.Count, files.Run, strings.Join(bad.First, ", "))
	}
	return book, nil, nil
}

// read goes through a place.
func read(ctx context.Context, place string, files ledger.Files, each func(ledger.Sighting)) error {
	u, err := url.Parse(place)
	if err != nil || u.Scheme != "nats" && u.Scheme != "kafka" {
		files.Root = place
		_, err := ledger.Read(files, each)
		return err
	}
	name := strings.TrimPrefix(u.Path, "/")
	if name == "" {
		return fmt.Errorf("%s names no stream or topic, want %s://HOST:PORT/NAME", place, u.Scheme)
	}
	if u.Scheme == "kafka" {
		_, err := kafka.Read(ctx, name, files, each, kgo.SeedBrokers(strings.Split(u.Host, ",")...))
		return err
	}
	u.Path = ""
	nc, err := nats.Connect(u.String())
	if err != nil {
		return fmt.Errorf("couldn't connect to %s: %w", u.Redacted(), err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("couldn't use JetStream: %w", err)
	}
	_, err = ledger.ReadStream(ctx, js, name, nil, files, each)
	return err
}
