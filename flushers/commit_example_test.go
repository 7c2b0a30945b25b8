package flushers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

// table is what the lanes of a process share: a connection, and the inserts they join.
type table struct {
	inserts *flushers.GroupCommit[[]byte]
}

func openTable() (io.Closer, error) {
	t := &table{}
	t.inserts = flushers.NewGroupCommit(flushers.CommitLimits{Linger: 500 * time.Millisecond, Bytes: 8 << 20}, t.insert)
	return t, nil
}

// insert is one statement for all who joined it.
func (t *table) insert(_ context.Context, rows [][]byte) error {
	fmt.Printf("insert of %d rows\n", len(rows))
	return nil
}

func (t *table) Close() error { return t.inserts.Close() }

// inserter is a flusher of a table.
type inserter struct {
	table   *table
	release func()
	urgent  atomic.Bool
}

func (f *inserter) Init(c flushers.Context) error {
	v, release, err := c.Shared("the options that shape the connection", openTable)
	if err != nil {
		return err
	}
	f.release = release
	shared, ok := v.(*table)
	if !ok {
		return errors.New("another kind uses the key")
	}
	f.table = shared
	return nil
}

// FlushBatch encodes its groups, then waits for the insert that carries them.
func (f *inserter) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	var row []byte
	for _, g := range b.Groups {
		row = append(row, g.Topic...)
	}
	return f.table.inserts.Join(ctx, row, int64(len(row)), f.urgent.Load())
}

func (f *inserter) SetUrgent(flag bool) { f.urgent.Store(flag) }

func (f *inserter) Stop() error {
	f.release()
	return nil
}

func ExampleGroupCommit() {
	// Context.Shared comes from the worker; here three lanes share by hand.
	v, err := openTable()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer v.Close()
	results := make(chan error)
	for i := range 3 {
		lane := &inserter{table: v.(*table)}
		go func() {
			b := &flushers.Batch{Groups: []*protocol.LogGroup{{Topic: fmt.Sprint("lane ", i)}}}
			results <- lane.FlushBatch(context.Background(), b)
		}()
	}
	for range 3 {
		fmt.Println(<-results)
	}
	// Output:
	// insert of 3 rows
	// <nil>
	// <nil>
	// <nil>
}
