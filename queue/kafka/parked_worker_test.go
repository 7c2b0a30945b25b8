package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/test/kafkabroker"
	"github.com/flushline/flushline/worker"
)

// store is a destination that refuses some logstores.
type store struct {
	mu   sync.Mutex
	down map[string]bool
	got  map[string]map[string]int // logs by logstore and text
}

func (s *store) set(logstore string, down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down[logstore] = down
}

// count is how many different logs of a logstore are stored, and how many in all.
func (s *store) count(logstore string) (distinct, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.got[logstore] {
		all += n
	}
	return len(s.got[logstore]), all
}

// storing is one lane's flusher.
type storing struct{ to *store }

func (f *storing) Init(flushers.Context) error        { return nil }
func (f *storing) Description() string                { return "Keeps logs in memory." }
func (f *storing) IsReady(string, string, int64) bool { return true }
func (f *storing) SetUrgent(bool)                     {}
func (f *storing) Stop() error                        { return nil }
func (f *storing) Flush(_, logstore, _ string, groups []*protocol.LogGroup) error {
	f.to.mu.Lock()
	defer f.to.mu.Unlock()
	if f.to.down[logstore] {
		return errors.New("it is away")
	}
	if f.to.got[logstore] == nil {
		f.to.got[logstore] = map[string]int{}
	}
	for _, g := range groups {
		f.to.got[logstore][g.Logs[0].Contents[0].Value]++
	}
	return nil
}

// The whole way: a topic of ten lanes of which two are dead. The others do not notice,
// what is for the dead ones is parked, and each of them is drained when it is back.
func TestAWorkerParksOnKafka(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("parked-worker")
	b.CreateTopic(t, topic, 2, 1, nil)
	cfg := quick(reading(b.Bootstrap(), topic))
	cfg.Group = fresh("g")
	const lanes, each = 10, 400
	var rs []*kgo.Record
	for n := range lanes * each {
		g := protocol.LogGroup{Logs: []*protocol.Log{{Time: 1, Contents: []*protocol.Log_Content{{Key: "id", Value: fmt.Sprint(n)}}}}}
		v, err := g.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, &kgo.Record{Topic: topic, Partition: int32(n % 2), Value: v, Headers: []kgo.RecordHeader{
			{Key: protocol.HeaderProject, Value: []byte("p")},
			{Key: protocol.HeaderLogstore, Value: fmt.Append(nil, "ls", n%lanes)},
			{Key: protocol.HeaderConfig, Value: []byte("c")},
		}})
	}
	b.Produce(t, rs...)
	core, logs := observer.New(zapcore.InfoLevel)
	opt := kafka.Options{Log: zap.New(core)}
	src, err := kafka.Open(t.Context(), cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(src.Close)
	parked, err := kafka.OpenParked(t.Context(), src.Client(), cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := parked.Prepare(t.Context(), []queue.Lane{{Route: "all", Flusher: "out"}}); err != nil {
		t.Fatal(err)
	}
	out := &store{down: map[string]bool{"ls3": true, "ls4": true}, got: map[string]map[string]int{}}
	kind := flushers.Kind{Name: "store", New: func() flushers.Flusher { return &storing{out} }}
	w, err := worker.New(worker.Config{
		Deployment: cfg.Group, Parked: parked, Logger: zap.New(core),
		Routes: []worker.Route{{
			Name: "all", Park: true, ParkAfter: time.Second,
			Flushers: []worker.Entry{{Name: "out", Kind: kind, New: kind.New, RetryInitial: 50 * time.Millisecond}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, src) }()
	full := func(logstore string) func() bool {
		return func() bool { n, _ := out.count(logstore); return n == each }
	}
	for n := range lanes {
		if n != 3 && n != 4 {
			eventually(t, fmt.Sprintf("lane %d being stored", n), full(fmt.Sprint("ls", n)))
		}
	}
	eventually(t, "the dead lanes being parked", func() bool {
		lanes, err := parked.Lanes(t.Context())
		var n int64
		for _, l := range lanes {
			n += l.Messages
		}
		return err == nil && n == 2*each
	})
	out.set("ls3", false)
	eventually(t, "the lane that is back being drained", full("ls3"))
	if n, _ := out.count("ls4"); n != 0 {
		t.Errorf("%d logs of the dead lane are stored", n)
	}
	out.set("ls4", false)
	eventually(t, "the other one being drained", full("ls4"))
	empties(t, b, topic+"."+cfg.Group+".parked.all.out")
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for n := range lanes {
		if distinct, all := out.count(fmt.Sprint("ls", n)); distinct != all || distinct != each {
			t.Errorf("lane %d: %d logs, %d different; want %d once", n, all, distinct, each)
		}
	}
	st := w.Status()
	for _, s := range st.Sources {
		if !s.Counts.Balanced() {
			t.Errorf("the counts of source %s do not add up: %+v", s.Name, s.Counts)
		}
	}
	for _, p := range st.Pools {
		if p.Used != 0 {
			t.Errorf("pool %s holds %d bytes after the end", p.Name, p.Used)
		}
	}
	if st.Defects != 0 {
		t.Errorf("%d deliveries were settled twice", st.Defects)
	}
	tellLogs(t, logs)
}
