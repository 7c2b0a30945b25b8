//go:build unix

package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/child"
	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	kafkaqueue "github.com/flushline/flushline/queue/kafka"
	kafkabox "github.com/flushline/flushline/queue/kafka/letterbox"
	natsqueue "github.com/flushline/flushline/queue/nats"
	natsbox "github.com/flushline/flushline/queue/nats/letterbox"
)

const largeLetters = 12

// largeBytes is the size of messages that become dead letters of more than a server takes
// at once: what our nats-server allows, less their own headers and not those of letters. On
// Kafka, whose letters may be larger, each is a batch.
func (x *chunked) largeBytes() int {
	if x.kafka != nil {
		return 600 << 10
	}
	return 8<<20 - 200
}

// crashChunks runs a cell of letters that are put, or purged, in several steps.
func crashChunks(t *testing.T, c *crashCell) {
	x := &chunked{crashCell: c}
	x.rig, x.kafka = boundedRig(t, c.queue)
	x.config = x.rig.config(t, "w1", crashWindow)
	x.setup(t, x.config)
	x.produce(t)
	if c.Point != failpoint.ChunkRemoved {
		x.meets(t, "run", "-c", x.config)
		x.drain(t)
		x.judgePut(t)
		return
	}
	x.drain(t)
	if n := len(x.read(t).whole); n != largeLetters {
		t.Fatalf("%d letters are whole before the fault, want %d", n, largeLetters)
	}
	x.meets(t, "dlq", "purge", "-c", x.config, "--all", "--yes")
	x.judgePurge(t)
}

// chunked is such a cell on its way.
type chunked struct {
	*crashCell
	*rig
	kafka  *kafka // nil: NATS
	config string
	fault  time.Time
}

// produce publishes noise that is no LogGroup and can hardly be compressed.
func (x *chunked) produce(t *testing.T) {
	t.Helper()
	send := x.send(t, &ledger.Load{Run: x.run})
	for i := range largeLetters {
		body := fmt.Appendf(nil, "large %03d ", i)
		body = append(body, make([]byte, x.largeBytes()-len(body))...)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(body[10:]) // never fails
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := send(ctx, protocol.Key{Project: "slow", Logstore: "store01", Config: "app"}, body)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// meets runs the program until it has met the fault and ended.
func (x *chunked) meets(t *testing.T, args ...string) {
	t.Helper()
	cmd := x.command(t, args...)
	if x.Point == failpoint.BatchStored { // the others come meanwhile, and are put together
		cmd.Env = append(cmd.Env, cmd.Env[len(cmd.Env)-2]+fmt.Sprintf(",%s:1:sleep(3s)", failpoint.LetterPut))
	}
	p, out := child.Start(t, "first", cmd)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	first := &process{p, "first", cmd}
	x.fired(t, 1)
	x.fault = time.Now()
	codes := map[string][]int{kill: {-1}, term: {0, 75}, stop: {0}}[x.action]
	if x.action == stop {
		<-time.After(2 * time.Second)
		first.signal(syscall.SIGCONT)
		if args[0] == "run" {
			first.signal(syscall.SIGTERM)
		}
	}
	select {
	case <-first.Ended():
	case <-time.After(time.Minute):
		t.Fatalf("the program has not ended a minute after %s", x.action)
	}
	if code := first.ExitCode(); !slices.Contains(codes, code) {
		t.Errorf("the program ended with %d after %s, want one of %v:\n%s", code, x.action, codes, first.Log())
	}
}

// drain has a worker without a fault make letters of what is left.
func (x *chunked) drain(t *testing.T) {
	t.Helper()
	w := x.pod(t, "failing", "w1", x.config)
	w.serves(t) // all may have been acknowledged already
	drainedRig(t, x.rig, x.kafka, time.Minute)
	w.terminate(t)
	if !x.fault.IsZero() {
		x.row.Recovery = time.Since(x.fault).Seconds()
		x.row.Settled = x.row.Recovery
	}
}

// shown is what a box shows.
type shown struct {
	whole   map[string]int // by how a value begins
	letters int            // that are whole
	damaged []*queue.Letter
}

func (x *chunked) read(t *testing.T) *shown {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	box := x.box(ctx, t)
	defer box.Close()
	s := &shown{whole: map[string]int{}}
	err := box.Letters(ctx, func(l *queue.Letter) error {
		switch {
		case l.Damage != nil:
			s.damaged = append(s.damaged, l)
		case len(l.Value) != x.largeBytes() || l.Facts().Reason != "undecodable":
			t.Errorf("letter %s has %d bytes and is %s", l.Name(), len(l.Value), l.Facts().Reason)
		default:
			s.whole[string(l.Value[:10])]++
			s.letters++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range s.damaged {
		if l.Facts().Reason != "undecodable" {
			t.Errorf("what is left of a letter does not say why it is there: %s, %v", l.Name(), l.Damage)
		}
	}
	return s
}

func (x *chunked) box(ctx context.Context, t *testing.T) queue.LetterBox {
	t.Helper()
	if x.kafka != nil {
		cfg := kafkaqueue.DefaultConfig()
		cfg.Brokers, cfg.Topics, cfg.Group = x.kafka.cluster.Bootstrap(), []string{x.kafka.topic}, x.kafka.group
		box, err := kafkabox.Open(&cfg, x.kafka.topic)
		if err != nil {
			t.Fatal(err)
		}
		return box
	}
	cfg := natsqueue.DefaultConfig()
	cfg.URL, cfg.Stream, cfg.Durable = x.broker.url, streamName, x.broker.durable
	conn, err := natsqueue.Connect(ctx, &cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return natsbox.New(conn, cfg.List()[0])
}

// judgePut wants each message as a whole letter. After a kill some may be there twice, and
// what was put halfway is shown as damaged.
func (x *chunked) judgePut(t *testing.T) {
	t.Helper()
	s := x.read(t)
	x.row.Confirmed, x.row.Lost, x.row.Duplicates = largeLetters, largeLetters-len(s.whole), s.letters-len(s.whole)
	if x.action == kill {
		x.row.Bound = largeLetters
	}
	if x.row.Lost > 0 || x.row.Duplicates > x.row.Bound {
		t.Errorf("%d messages are no whole letter, %d are twice, at most %d may be", x.row.Lost, x.row.Duplicates, x.row.Bound)
	}
	if len(s.damaged) > 0 && x.action != kill || x.kafka != nil && len(s.damaged) > 0 {
		t.Errorf("%d letters are damaged: %v", len(s.damaged), s.damaged[0].Damage)
	}
	t.Logf("%d whole, %d damaged", s.letters, len(s.damaged))
}

// judgePurge wants the letter that was being removed shown, and the others whole or gone.
func (x *chunked) judgePurge(t *testing.T) {
	t.Helper()
	s := x.read(t)
	x.row.Confirmed = largeLetters
	if most := map[string]int{kill: 1}[x.action]; len(s.damaged) != most || x.action == kill && s.letters == 0 {
		t.Errorf("%d letters are damaged, want %d; %d are whole", len(s.damaged), most, s.letters)
	}
	path, err := failing()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "dlq", "purge", "-c", x.config, "--all", "--yes").CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("purged %d letter", s.letters)) {
		t.Errorf("purging the rest, %d letters: %v\n%s", s.letters, err, out)
	}
	x.row.Recovery = time.Since(x.fault).Seconds()
	x.row.Settled = x.row.Recovery
	if again := x.read(t); again.letters != 0 || len(again.damaged) != len(s.damaged) {
		t.Errorf("%d letters are whole then and %d damaged, want 0 and %d", again.letters, len(again.damaged), len(s.damaged))
	}
}
