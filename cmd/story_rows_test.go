package cmd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/kafkabroker"
)

// rows is the kind of the program `ownflushline`: a destination that keeps one row for
// each ID and takes what it has for a repetition, so that data under the ID of other
// data would be lost. Below its directory are
//
//	rows/ID    the row: the first content of the group's first log
//	seen       a line "ID ROW" for each group of each Flush
//	conflicts  a line for each group whose ID stood for another row
//	mood       what it does: nothing or "well", "cut" (stores all, then answers the first
//	           attempt as if the connection broke), "down", or "refuse ROW" (for good, the
//	           batch that has it; stores nothing of it)
type rows struct {
	Dir string `option:"dir,required" help:"The directory."`
}

func rowsKind() flushers.Kind {
	return flushers.Kind{
		Name: "rows", Summary: "Keeps one row for each ID.", New: func() flushers.Flusher { return new(rows) },
		Durability: flushers.Durable, Idempotence: flushers.PerGroup,
	}
}

func (*rows) Init(flushers.Context) error        { return nil }
func (*rows) Description() string                { return "Keeps one row for each ID." }
func (*rows) IsReady(string, string, int64) bool { return true }
func (*rows) SetUrgent(bool)                     {}
func (*rows) Stop() error                        { return nil }

func (*rows) Flush(string, string, string, []*protocol.LogGroup) error {
	return errors.New("the worker calls FlushBatch")
}

// FlushBatch implements flushers.BatchFlusher.
func (r *rows) FlushBatch(_ context.Context, b *flushers.Batch) error {
	text, err := os.ReadFile(filepath.Join(r.Dir, "mood"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	mood := strings.TrimSpace(string(text))
	refused, _ := strings.CutPrefix(mood, "refuse ")
	for i, g := range b.Groups {
		row := g.Logs[0].Contents[0].Value
		if err := r.note("seen", "%s %s", b.IDs[i], row); err != nil {
			return err
		}
		if row == refused {
			return flushers.Permanent(fmt.Errorf("row %s is refused", row))
		}
	}
	if mood == "down" {
		return errors.New("down")
	}
	for i, g := range b.Groups {
		if err := r.keep(b.IDs[i].String(), g.Logs[0].Contents[0].Value); err != nil {
			return err
		}
	}
	if mood == "cut" && b.Attempt == 1 {
		return errors.New("the connection broke before the answer")
	}
	return nil
}

// keep makes a row whole at once.
func (r *rows) keep(id, row string) error {
	path := filepath.Join(r.Dir, "rows", id)
	switch was, err := os.ReadFile(path); {
	case err == nil && string(was) != row:
		return r.note("conflicts", "%s is %s and came as %s", id, was, row)
	case err == nil || !errors.Is(err, os.ErrNotExist):
		return err
	}
	part := filepath.Join(r.Dir, id+".part")
	if err := os.WriteFile(part, []byte(row), 0o600); err != nil {
		return err
	}
	return os.Rename(part, path)
}

func (r *rows) note(file, format string, args ...any) error {
	f, err := os.OpenFile(filepath.Join(r.Dir, file), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, format+"\n", args...)
	return errors.Join(err, f.Close())
}

// forgets NAME: deletes a stream of the story's server, or a topic of the broker.
func forgets(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: forgets STREAM or forgets TOPIC")
	}
	if kafka, ok := ts.Value(sharedKafka{}).(*kafkabroker.Cluster); ok {
		kafka.DeleteTopic(storyTB{ts}, args[0])
		return
	}
	ctx, js, end := jetStream(ts)
	defer end()
	ts.Check(js.DeleteStream(ctx, args[0]))
}

// sharedKafka is the key of the cluster of the stories on Kafka.
type sharedKafka struct{}

// storyTB is a story for those who help tests.
type storyTB struct{ *testscript.TestScript }

func (storyTB) Helper()                  {}
func (storyTB) Context() context.Context { return context.Background() }
