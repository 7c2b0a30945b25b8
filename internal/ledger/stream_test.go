package ledger

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/protocol"
)

// A load goes to one stream, which is the source; what a worker would make of it is
// planted in another, which is the sink.
func TestAStreamIsJudgedByAStream(t *testing.T) {
	nc := broker(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for name, subjects := range map[string]string{"LOGS": "logs.>", "OUT": "out", "EMPTY": "empty"} {
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subjects}}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "journal")
	journal, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	load := Load{Run: "r1", Groups: 40, Keys: Keys(4, "shop", "bank"), Logs: 3, Workers: 1, Start: time.Now()}
	if err := Produce(t.Context(), nc, load, journal); err != nil {
		t.Fatal(err)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	kept, err := LoadBook(path)
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	files := Files{Run: "r1"}
	var found BookOf
	tally, err := ReadStream(ctx, js, "LOGS", nil, files, found.See)
	if err != nil {
		t.Fatal(err)
	}
	book, bad := found.Book()
	if diff := cmp.Diff(kept, book); diff != "" || bad.Count != 0 || tally.Logs == 0 {
		t.Errorf("the stream and the journal differ, %d are not of the ledger (-journal +stream):\n%s", bad.Count, diff)
	}

	put := func(data []byte, key protocol.Key) {
		t.Helper()
		msg := nats.NewMsg("out")
		msg.Data = data
		msg.Header.Set(protocol.HeaderProject, key.Project)
		msg.Header.Set(protocol.HeaderLogstore, key.Logstore)
		msg.Header.Set(protocol.HeaderConfig, key.Config)
		if _, err := js.PublishMsg(ctx, msg); err != nil {
			t.Fatal(err)
		}
	}
	group := func(n uint64) []byte {
		t.Helper()
		data, err := load.group(n).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	// Logs of a group: 1, 2, 3, 1, ... Keys: 0, 1, 2, 3, 0, ...
	for n := range uint64(40) {
		switch n {
		case 3: // lost: one log
		case 4: // late: one log and two, behind those of group 8
		case 6: // twice
			put(group(n), load.key(n))
			put(group(n), load.key(n))
		case 8:
			put(group(n), load.key(n)) // three logs
			put(group(4), load.key(4)) // two logs, three and four places behind the first of 8
		case 9: // as JSON lines
			var lines []byte
			for _, l := range jsonLines(t, load.group(n)) {
				lines = append(lines, l...)
			}
			put(lines, load.key(n))
		case 11: // under another key: three logs corrupt, and so lost
			put(group(n), load.key(n+1))
		case 12: // nothing a reader could read
			put([]byte("\xff\xff"), load.key(n))
			put(group(n), load.key(n))
		default:
			put(group(n), load.key(n))
		}
	}
	put(group(99), load.key(99)) // spurious: one log
	c := NewCount(book, nil)
	c.Time([]Mark{{Name: "all", At: time.Now().Add(-time.Hour), Next: 0}})
	if _, err := ReadStream(ctx, js, "OUT", nil, files, c.See); err != nil {
		t.Fatal(err)
	}
	v := c.Verdict()
	if v.Lost.Count != 1+3 || v.Spurious.Count != 1 || v.Corrupt.Count != 3+1 || v.Duplicates != 1 ||
		v.Reorder.Logs != 2 || v.Reorder.Deepest != 4 || v.Recovery["all"].Recovered != 1 {
		t.Errorf("got %v", v)
	}

	if tally, err := ReadStream(ctx, js, "EMPTY", nil, files, c.See); err != nil || tally.Logs != 0 {
		t.Errorf("an empty stream: %+v, %v", tally, err)
	}
	if _, err := ReadStream(ctx, js, "NONE", nil, files, c.See); err == nil {
		t.Error("a stream that is not there was read")
	}
}

func TestWhatIsNotOfTheLedgerIsInNoBook(t *testing.T) {
	t.Parallel()
	key := protocol.Key{Project: "p", Logstore: "l", Config: "c"}
	var b BookOf
	b.See(Sighting{ID: ID{Group: 2, Log: 1}, Known: true, Intact: true, Key: key})
	b.See(Sighting{ID: ID{Group: 3}, Known: true, Key: key})
	b.See(Sighting{Unreadable: true})
	b.See(Sighting{ID: ID{Group: 1 << 60}, Known: true, Intact: true, Key: key})
	book, bad := b.Book()
	want := Book{{}, {}, {Key: key, Logs: 2, Confirmed: true}}
	if diff := cmp.Diff(want, book); diff != "" || bad.Count != 3 {
		t.Errorf("%d are not of the ledger (-want +got):\n%s", bad.Count, diff)
	}
}
