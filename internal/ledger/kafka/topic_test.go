package kafka_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/ledger/kafka"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/kafkabroker"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(kafkabroker.Main(m))) }

// Groups are committed and aborted in turn: the topic has what was confirmed, and
// reading ends behind the markers at the end of each log.
func TestATopicIsTheBookOfWhatWasCommitted(t *testing.T) {
	c := kafkabroker.Shared(t)
	c.CreateTopic(t, "ledger", 3, 0, nil)
	cl := c.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("ledger"))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n := int32(0)
	send := func(ctx context.Context, key protocol.Key, body []byte) error {
		n++
		for _, end := range []struct {
			value []byte
			how   kgo.TransactionEndTry
		}{{body, kgo.TryCommit}, {[]byte("aborted"), kgo.TryAbort}} {
			if err := cl.BeginTransaction(); err != nil {
				return err
			}
			record := &kgo.Record{Topic: "ledger", Partition: n % 2, Value: end.value, Headers: []kgo.RecordHeader{ // the third stays empty
				{Key: protocol.HeaderProject, Value: []byte(key.Project)},
				{Key: protocol.HeaderLogstore, Value: []byte(key.Logstore)},
				{Key: protocol.HeaderConfig, Value: []byte(key.Config)},
			}}
			if err := cl.ProduceSync(ctx, record).FirstErr(); err != nil {
				return err
			}
			if err := cl.EndTransaction(ctx, end.how); err != nil {
				return err
			}
		}
		return nil
	}
	path := filepath.Join(t.TempDir(), "journal")
	journal, err := ledger.OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	load := ledger.Load{Run: "r1", Groups: 12, Keys: ledger.Keys(3, "shop"), Logs: 2, Workers: 1, Start: time.Now()}
	if err := ledger.ProduceTo(ctx, send, load, journal); err != nil {
		t.Fatal(err)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	book, err := ledger.LoadBook(path)
	if err != nil {
		t.Fatal(err)
	}
	count := ledger.NewCount(book, nil)
	tally, err := kafka.Read(ctx, "ledger", ledger.Files{Run: "r1"}, count.See, kgo.SeedBrokers(c.Bootstrap()...))
	if err != nil {
		t.Fatal(err)
	}
	if v := count.Verdict(); !v.Once() || v.Confirmed != 18 || v.Unknown != 0 || tally != (ledger.Tally{Files: 3, Logs: 18}) {
		t.Errorf("%+v\n%v", tally, v)
	}
	if _, err := kafka.Read(ctx, "none", ledger.Files{Run: "r1"}, count.See, kgo.SeedBrokers(c.Bootstrap()...)); err == nil {
		t.Error("a topic that is not there was read")
	}
}
