package nats

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/steps"
)

func TestParseReply(t *testing.T) {
	want := position{attempt: 3, stream: 12345678901, delivery: 42, time: 1700000000123456789}
	for _, s := range []string{
		"$JS.ACK.LOGS.flushline.3.12345678901.42.1700000000123456789.7",
		"$JS.ACK.hub.AbCdEf.LOGS.flushline.3.12345678901.42.1700000000123456789.7",
		"$JS.ACK._.AbCdEf.LOGS.flushline.3.12345678901.42.1700000000123456789.7.token",
		"$JS.ACK._.AbCdEf.LOGS.flushline.3.12345678901.42.1700000000123456789.7.a.b.c.d.e.f.g.h.i.j",
	} {
		if got, ok := parseReply(s); !ok || got != want {
			t.Errorf("%s: %+v, %v", s, got, ok)
		}
		if n := testing.AllocsPerRun(10, func() { parseReply(s) }); n != 0 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
	for _, s := range []string{
		"", "$JS.ACK.", "$JS.ACK", "_INBOX.a.b",
		"$JS.ACK.LOGS.flushline.3.1.42.1700000000123456789",
		"$JS.ACK.LOGS.flushline.3.1.42.1700000000123456789.7.8",
		"$JS.ACK.LOGS.flushline.x.1.42.1700000000123456789.7",
		"$JS.ACK.LOGS.flushline.3.-1.42.1700000000123456789.7",
		"$JS.ACK.LOGS.flushline.3.0.42.1700000000123456789.7",
		"$JS.ACK.LOGS.flushline.3..42.1700000000123456789.7",
	} {
		if got, ok := parseReply(s); ok {
			t.Errorf("%q was read as %+v", s, got)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add("$JS.ACK.LOGS.flushline.3.12345678901.42.1700000000123456789.7")
	f.Add("$JS.ACK._.AbCdEf.LOGS.flushline.3.12345678901.42.1700000000123456789.7.token")
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := parseReply(s); ok && (p.stream == 0 || p.attempt < 0) {
			t.Errorf("%q: %+v", s, p)
		}
	})
}

// server is what a broker does with pull requests, message by message.
type modelPull struct {
	pull
	n int
	b int64
}

// Whatever arrives, in whatever order and however much is lost, what was taken
// and charged equals what was given back and what messages hold, and nothing is
// left when no request is live.
func TestPullsBalance(t *testing.T) {
	t.Parallel()
	count := steps.Count(t)
	rapid.Check(t, func(t *rapid.T) {
		var p pulls
		var live []modelPull
		var taken, charged, given, held int64
		id := uint64(0)
		t.Repeat(count.Of(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				id++
				one := pull{id: id, msgs: rapid.IntRange(1, 20).Draw(t, "msgs"), bytes: rapid.Int64Range(1, 5000).Draw(t, "bytes")}
				taken += one.bytes + int64(one.msgs)*overhead
				p.open(one)
				live = append(live, modelPull{one, one.msgs, one.bytes})
			},
			"message": func(t *rapid.T) { // of the first live request, or a stray one
				size := rapid.Int64Range(1, 800).Draw(t, "size")
				if len(live) > 0 && live[0].b >= size {
					live[0].b -= size
					live[0].n--
					if live[0].b == 0 || live[0].n == 0 && rapid.Bool().Draw(t, "status lost") {
						live = live[1:]
					}
				}
				charge, give := p.arrived(size)
				charged += charge
				given += give
				held += size + overhead
			},
			"status": func(t *rapid.T) {
				if len(live) == 0 {
					t.Skip("no request")
				}
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				one := live[i]
				live = append(live[:i], live[i+1:]...)
				msgs, bytes := one.n, one.b
				if rapid.Bool().Draw(t, "without numbers") {
					msgs, bytes = -1, 0
				}
				give, _, _ := p.ended(one.id, msgs, bytes)
				given += give
			},
			"unknown status": func(*rapid.T) {
				if give, _, _ := p.ended(id+100, 1, 1); give != 0 {
					t.Fatalf("gave %d for a request that never was", give)
				}
			},
			"void": func(*rapid.T) {
				given += p.void()
				live = nil
			},
			"": func(t *rapid.T) {
				if got := taken + charged - given - held; got != p.cost() {
					t.Fatalf("taken %d + charged %d - given %d - held %d = %d, the account says %d", taken, charged, given, held, got, p.cost())
				}
				if p.msgs < 0 || p.bytes < 0 || len(p.live) == 0 && p.cost() != 0 {
					t.Fatalf("%+v", p)
				}
			},
		}))
	})
}

func TestAnUntouchedRequestIsTold(t *testing.T) {
	t.Parallel()
	var p pulls
	p.open(pull{id: 1, msgs: 10, bytes: 1000})
	if give, _, untouched := p.ended(1, 10, 1000); !untouched || give != 1000+10*overhead {
		t.Errorf("gave %d, untouched %v", give, untouched)
	}
	p.open(pull{id: 2, msgs: 10, bytes: 1000})
	p.arrived(400)
	if give, _, untouched := p.ended(2, 9, 600); untouched || give != 600+9*overhead {
		t.Errorf("gave %d, untouched %v", give, untouched)
	}
}

func TestEndedAgainstASet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var e ended
		set := map[uint64]bool{}
		now := time.Unix(1000, 0)
		for range rapid.IntRange(0, 300).Draw(t, "n") {
			seq := rapid.Uint64Range(1, 1<<20).Draw(t, "seq")
			if rapid.Bool().Draw(t, "run") {
				for i := range uint64(50) {
					e.add(seq+i, int64(seq+i), now)
					set[seq+i] = true
				}
			}
			e.add(seq, int64(seq), now)
			set[seq] = true
			now = now.Add(time.Millisecond)
		}
		for seq := range set {
			if known, other := e.has(seq, int64(seq)); !known || other {
				t.Fatalf("%d: known %v, other %v", seq, known, other)
			}
		}
		for range 100 {
			seq := rapid.Uint64Range(0, 1<<21).Draw(t, "probe")
			if known, _ := e.has(seq, 0); known != set[seq] {
				t.Fatalf("%d: known %v, want %v", seq, known, set[seq])
			}
		}
		e.forget(now.Add(time.Second))
		if len(e.blocks) != 0 {
			t.Fatalf("%d blocks are kept for ever", len(e.blocks))
		}
	})
}

func TestEndedKnowsAnotherMessageByItsTime(t *testing.T) {
	t.Parallel()
	var e ended
	for seq := uint64(1); seq <= 100_000; seq++ {
		e.add(seq, int64(seq), time.Unix(int64(seq/1000), 0))
	}
	if known, other := e.has(5, 1_000_000); !known || !other {
		t.Errorf("a younger message: known %v, other %v", known, other)
	}
	size := 0
	for _, b := range e.blocks {
		size += len(b.gaps)
	}
	if size > 100_000 {
		t.Errorf("100,000 sequences in a row cost %d bytes", size)
	}
}

func TestAskerGrowsAndShrinks(t *testing.T) {
	t.Parallel()
	a := newAsker()
	for range 20 {
		a.used(100, 0)
	}
	if a.full() != maxAsk {
		t.Errorf("after full use %d, want %d", a.full(), maxAsk)
	}
	for range 20 {
		a.used(100, 100)
	}
	if a.full() != firstAsk {
		t.Errorf("after no use %d, want %d", a.full(), firstAsk)
	}
	a.saw(1 << 20)
	if a.full() < 2<<20 {
		t.Errorf("after a message of 1 MiB %d, want room for two", a.full())
	}
	for range 20_000 {
		a.saw(100)
	}
	if a.full() != firstAsk {
		t.Errorf("a large message is not forgotten: %d", a.full())
	}
}

func TestSplitSpendsExactlyTheBudget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := newAsker()
		for range rapid.IntRange(0, 30).Draw(t, "n") {
			a.saw(rapid.Int64Range(1, 1<<20).Draw(t, "size"))
		}
		budget := rapid.Int64Range(a.least(), 2*maxAsk).Draw(t, "budget")
		msgs, bytes := a.split(budget, rapid.IntRange(1, maxBatch).Draw(t, "most"))
		if msgs < 1 || bytes < 1 || bytes+int64(msgs)*overhead != budget {
			t.Fatalf("%d bytes were split into %d messages and %d bytes", budget, msgs, bytes)
		}
	})
}

func TestPassedOver(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		filtered bool
		samples  []sample
		want     map[string]int64
	}{
		{"nothing", false, []sample{{10, 10, 0, 1, 10}, {20, 20, 5, 1, 25}, {25, 26, 0, 1, 25}}, map[string]int64{}},
		{"expired while it waits", false, []sample{{10, 10, 90, 1, 100}, {10, 10, 40, 61, 100}}, map[string]int64{"expired": 50}},
		{"expired and then passed", false, []sample{{10, 10, 90, 1, 100}, {10, 10, 40, 61, 100}, {70, 20, 30, 61, 100}, {100, 50, 0, 61, 100}}, map[string]int64{"expired": 50}},
		{"passed between two looks", false, []sample{{10, 10, 90, 1, 100}, {70, 20, 30, 61, 100}}, map[string]int64{"expired": 50}},
		{"purged", false, []sample{{10, 10, 90, 1, 100}, {100, 10, 0, 101, 100}}, map[string]int64{"purged": 90}},
		{"published but not yet counted as pending", false, []sample{{10, 10, 0, 1, 10}, {10, 10, 0, 1, 500}, {10, 10, 490, 1, 500}}, map[string]int64{}},
		{"filtered", true, []sample{{10, 10, 90, 1, 100}, {10, 10, 40, 61, 100}, {10, 10, 40, 61, 100}}, map[string]int64{"expired_at_most": 50}},
		{"filtered and caught up", true, []sample{{100, 10, 0, 1, 100}, {100, 10, 0, 101, 100}}, map[string]int64{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := passed{filtered: tt.filtered}
			for _, s := range tt.samples {
				p.add(s)
			}
			if diff := cmp.Diff(tt.want, p.counts()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
