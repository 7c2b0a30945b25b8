package ledger

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/protocol"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

// broker is a JetStream server inside the test: no port, so nobody else answers.
func broker(t *testing.T) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestWhatIsConfirmedIsInTheStream(t *testing.T) {
	nc := broker(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.>"}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "journal")
	journal, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	load := Load{Run: "r1", Groups: 300, Keys: Keys(7, "shop", "bank"), Logs: 4, Start: time.Now()}
	if err := Produce(t.Context(), nc, load, journal); err != nil {
		t.Fatal(err)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	book, err := LoadBook(path)
	if err != nil {
		t.Fatal(err)
	}
	if book.Confirmed() != 300 {
		t.Errorf("confirmed %d groups, want 300", book.Confirmed())
	}

	count := NewCount(book, nil)
	files := Files{Run: "r1"}
	for seq := uint64(1); seq <= 300; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sightings(t, &files, m) {
			count.See(s)
		}
	}
	if v := count.Verdict(); !v.Once() || v.Unknown != 0 {
		t.Errorf("got %v", v)
	}
}

// sightings decodes a message by the protobuf codec, and takes its key from the
// headers.
func sightings(t *testing.T, files *Files, m *jetstream.RawStreamMsg) []Sighting {
	t.Helper()
	var g protocol.LogGroup
	if err := g.Unmarshal(m.Data); err != nil {
		t.Fatal(err)
	}
	files.Place = func(_ string, k protocol.Key) bool {
		return k.Project == m.Header.Get("X-Log-Project") || k.Project == m.Header.Get(protocol.HeaderProject)
	}
	var seen []Sighting
	for _, log := range g.Logs {
		seen = append(seen, files.log(&g, log, m.Subject))
	}
	return seen
}

func TestWithoutABrokersAnswerNothingIsConfirmed(t *testing.T) {
	nc := broker(t) // and no stream: every publish fails
	path := filepath.Join(t.TempDir(), "journal")
	journal, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	load := Load{Run: "r1", Groups: 5, Keys: Keys(1, "p"), Workers: 2}
	if err := Produce(ctx, nc, load, journal); err != nil {
		t.Fatal(err)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	book, err := LoadBook(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(book) == 0 || book.Confirmed() != 0 {
		t.Errorf("tried %d, confirmed %d; want some and none", len(book), book.Confirmed())
	}
}

func TestAVerdictIsJSON(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.write(t, "a.jsonl", all(b.lines[1:]))
	v, _ := b.judge(t, nil)
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"confirmed":15,"unknown":3,"total":17,"lost":{"count":1,"first":["0-0"]},` +
		`"spurious":{"count":0},"corrupt":{"count":0},"copies":{"1":17},"duplicates":0,"reorder":{"logs":0,"keys":0,"deepest":0}}`
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
}
