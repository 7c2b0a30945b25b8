package kafka_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/test/kafkabroker"
)

func TestAParkedTopicKeepsWhatItGets(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("parked-made")
	b.CreateTopic(t, topic, 5, 1, map[string]string{
		"retention.ms": "3600000", "cleanup.policy": "compact,delete", "max.message.bytes": "2000000",
	})
	cfg := reading(b.Bootstrap(), topic)
	client := connect(t, cfg)
	k := newKeeper(t, client, cfg)
	k.prepare()
	want := map[string]string{
		"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1",
		"max.message.bytes": "2065536", "min.insync.replicas": "1",
	}
	name := topic + ".g.parked.shop.es"
	if diff := cmp.Diff(want, settingsOf(t, client, name)); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if partitions, _ := shape(t, client, name); partitions != 5 {
		t.Errorf("%d partitions, want as many as the source", partitions)
	}
	for p, end := range b.Ends(t, name) {
		if end != 0 {
			t.Errorf("to prepare it stored something in partition %d", p)
		}
	}
	if n := k.logs.Len(); n > 0 {
		t.Errorf("it complained: %v", k.logs.All())
	}
	k.prepare() // again: it is accepted as it is
	for field, value := range map[string]string{"retention.ms": "3600000", "cleanup.policy": "compact"} {
		b.SetTopic(t, name, map[string]string{field: value})
		var err error
		eventually(t, field+" being refused", func() bool {
			err = newKeeper(t, client, cfg).parked.Prepare(t.Context(), []queue.Lane{laneOf("")})
			return err != nil
		})
		wantAll(t, err, name, field, "flushline setup --update -c FILE", "--add-config "+field+"=", "parked record")
		if _, err := kafka.Setup(t.Context(), client, cfg, kafka.SetupOptions{Parked: []queue.Lane{laneOf("")}, Update: true}); err != nil {
			t.Fatal(err)
		}
	}
	k.prepare()
}

func TestALongParkedNameIsRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 231)
	b := fakeCluster(t, kfake.SeedTopics(1, long))
	cfg := reading(b.ListenAddrs(), long)
	k := newKeeper(t, connect(t, cfg), cfg)
	err := k.parked.Prepare(t.Context(), []queue.Lane{{Route: "a-route", Flusher: "a-flusher"}})
	wantAll(t, err, "258 characters", "249", "shorter group, route or flusher", "when_blocked: wait")
}

func TestParkingNamesTheRightsThatAreMissing(t *testing.T) {
	t.Parallel()
	const topic, group = kmsg.ACLResourceTypeTopic, kmsg.ACLResourceTypeGroup
	name := "logs.g.parked.shop.es"
	base := []kfake.ACL{
		right(topic, "logs", kmsg.ACLOperationRead), right(topic, "logs", kmsg.ACLOperationDescribe),
		right(group, "g.parked", kmsg.ACLOperationRead),
	}
	prepare := func(t *testing.T, made bool, rights ...kfake.ACL) (*keeper, error) {
		b := secured(t, rights...)
		if made {
			root := as(t, b, "root")
			newKeeper(t, connect(t, root), root).prepare()
		}
		cfg := as(t, b, "limited")
		k := newKeeper(t, connect(t, cfg), cfg)
		return k, k.parked.Prepare(t.Context(), []queue.Lane{laneOf("")})
	}
	t.Run("to join", func(t *testing.T) {
		t.Parallel()
		_, err := prepare(t, false, base[:2]...)
		wantAll(t, err, "group g.parked", "--operation Read --operation Describe --group g.parked", "when_blocked: wait")
	})
	t.Run("to create", func(t *testing.T) {
		t.Parallel()
		_, err := prepare(t, false, base...)
		wantAll(t, err, name, "--operation Create", "--operation Delete", "flushline setup -c FILE", "when_blocked: wait")
	})
	t.Run("to delete", func(t *testing.T) {
		t.Parallel()
		k, err := prepare(t, true, append(base, right(topic, name, kmsg.ACLOperationWrite), right(topic, name, kmsg.ACLOperationRead), right(topic, name, kmsg.ACLOperationDescribeConfigs))...)
		if err != nil {
			t.Fatal(err)
		}
		lines := k.logs.FilterMessageSnippet("cannot be deleted").All()
		if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0].ContextMap()["mend"]), "--operation Delete --topic "+name) {
			t.Errorf("it says %v", k.logs.All())
		}
	})
}

// A lane lies in one partition, and a record is stored as it was given.
func TestParkedRecordsOfALaneStayTogether(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-lane", 4)
	var ms []queue.Message
	for n := range 40 {
		ms = append(ms, parkedRecord(cfg, fmt.Sprintf("p%d", n%8), n))
	}
	ms[7].Value = noise(7, 1_200_000) // cut into chunks
	if errs := k.parked.Put(t.Context(), ms); errs != nil {
		t.Fatal(errs)
	}
	places := map[string]int32{}
	var j queue.Joiner
	for p, rs := range stored(t, b.Bootstrap(), name) {
		for _, r := range rs {
			m, err := j.Add(messageOf(r))
			if err != nil {
				t.Fatal(err)
			}
			if m == nil {
				continue
			}
			source, _ := m.Header(queue.HeaderSource)
			var n int
			if _, err := fmt.Sscanf(source, "kafka "+cfg.Topics[0]+"[0] %d", &n); err != nil {
				t.Fatal(source, err)
			}
			if !bytes.Equal(m.Key, ms[n].Key) || !bytes.Equal(m.Value, ms[n].Value) || !cmp.Equal(m.Headers, ms[n].Headers) {
				t.Errorf("record %d came back as key %q, headers %v", n, m.Key, m.Headers)
			}
			lane := ms[n].Subject
			if was, ok := places[lane]; ok && was != p {
				t.Errorf("lane %s lies in partitions %d and %d", lane, was, p)
			}
			places[lane] = p
		}
	}
	if len(places) != 8 {
		t.Errorf("%d lanes came back, want 8", len(places))
	}
	used := map[int32]bool{}
	for _, p := range places {
		used[p] = true
	}
	if len(used) < 2 {
		t.Errorf("8 lanes lie in %d of 4 partitions", len(used))
	}
}

func TestParkedRecordsAreServedAndDeleted(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-served", 2)
	k.gates["a"], k.gates["b"] = queue.GateOpen, queue.GateProbe
	k.park(cfg, "a", 0, 300)
	k.park(cfg, "b", 300, 330)
	big := parkedRecord(cfg, "a", 330)
	big.Value = noise(3, 2_000_000)
	if errs := k.parked.Put(t.Context(), []queue.Message{big}); errs != nil {
		t.Fatal(errs)
	}
	lanes, err := k.parked.Lanes(t.Context())
	total := int64(0)
	for _, l := range lanes {
		total += l.Messages
		if l.Lane != (queue.Lane{Route: "shop", Flusher: "es"}) || !strings.HasPrefix(l.Place, name+"[") || time.Since(l.Oldest) > time.Hour {
			t.Errorf("lane %+v", l)
		}
	}
	if err != nil || total < 331 {
		t.Errorf("%d records are parked, %v", total, err)
	}
	k.serve()
	eventually(t, "all being taken", func() bool { return k.count("a") == 301 && k.count("b") == 30 })
	empties(t, b, name)
	for i := range k.took {
		m := &k.took[i]
		if _, part := m.Header(queue.HeaderPartOf); part {
			t.Error("a chunk was handed out")
		}
	}
	if lanes, err := k.parked.Lanes(t.Context()); err != nil || len(lanes) != 0 {
		t.Errorf("still parked: %v, %v", lanes, err)
	}
	k.stop()
}

// The lane that recovers is drained in full, although the other is older; what is put
// again keeps all but its moves.
func TestOneOfTwoDeadLanesRecovers(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-two", 1)
	for n := range 10 { // a and b in turns
		k.park(cfg, "a", 100*n, 100*n+60)
		k.park(cfg, "b", 100*n+60, 100*n+100)
	}
	k.serve()
	eventually(t, "a sweep that finds both shut", func() bool { return k.times(k.asked, "a") > 0 && k.times(k.asked, "b") > 0 })
	k.unmoved(b, name, 1000)
	k.set("b", queue.GateProbe)
	eventually(t, "b being drained", func() bool { return k.count("b") == 400 })
	eventually(t, "b being gone", func() bool { return b.Starts(t, name)[0] >= 1000 })
	moved := 0
	for _, r := range one(t, stored(t, b.Bootstrap(), name)) {
		m := messageOf(r)
		if v, _ := m.Header(queue.HeaderMoves); v == "0" {
			t.Errorf("offset %d was not put again", r.Offset)
		}
		if p, _ := m.Header("x-log-project"); p != "a" || m.Headers[4].Value != fmt.Sprintf("%032x", moved/60*100+moved%60+1) {
			t.Errorf("offset %d is %s, %s", r.Offset, p, m.Headers[4].Value)
		}
		moved++
	}
	if moved != 600 {
		t.Errorf("%d records of a are left, want 600", moved)
	}
	if n := k.times(k.tries, "a"); n != 0 {
		t.Errorf("%d records of a were handed out", n)
	}
	k.drains("a", 600)
	empties(t, b, name)
	if n := k.count("b"); n != 400 {
		t.Errorf("%d records of b were taken, want each once", n)
	}
	k.stop()
}

// One dead lane alone is read by every sweep and never put again.
func TestALoneDeadLaneStaysWhereItIs(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-lone", 1)
	k.gates["a"], k.dead["a"] = queue.GateProbe, true
	k.park(cfg, "a", 0, 200)
	k.serve()
	for n := range 3 {
		eventually(t, "another probe", func() bool { return k.times(k.tries, "a") > n })
		k.parked.Look(laneOf("a"))
	}
	k.unmoved(b, name, 200)
	k.mu.Lock()
	k.dead["a"] = false
	k.mu.Unlock()
	k.set("a", queue.GateOpen)
	eventually(t, "a being drained", func() bool { return k.count("a") == 200 })
	empties(t, b, name)
	k.stop()
}

func TestEightFailingLanesEndASweep(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-eight", 1)
	for n := range 12 {
		lane := fmt.Sprintf("p%02d", n)
		k.gates[lane], k.dead[lane] = queue.GateProbe, true
		k.park(cfg, lane, 20*n, 20*n+20)
	}
	k.gates["alive"] = queue.GateOpen
	k.park(cfg, "alive", 500, 510)
	k.serve()
	eventually(t, "eight probes", func() bool { return k.times(k.tries, "p07") == 1 })
	eventually(t, "a second sweep, which goes further", func() bool { return k.times(k.tries, "p11") > 0 })
	if n := k.times(k.tries, "p00"); n < 2 {
		t.Errorf("p11 was tried in the sweep that tried p00 %d times", n)
	}
	eventually(t, "the one behind them being served", func() bool { return k.count("alive") == 10 })
	eventually(t, "the dead ones having made way", func() bool { return b.Starts(t, name)[0] == 250 })
	if end := b.Ends(t, name)[0]; end != 490 {
		t.Errorf("the log ends at %d, want 490: each dead record put again once", end)
	}
	k.stop()
}

// A body that the source takes to the byte is parked and served.
func TestABodyOfTheLimitIsParked(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-limit", 1)
	m := parkedRecord(cfg, "a", 0)
	m.Value = noise(1, 1048588-70) // what max.message.bytes leaves of a record without key and headers
	if errs := publisher(t, b.Bootstrap(), cfg.Topics[0]).Put(t.Context(), []queue.Message{{Value: m.Value[:1048588-100]}}); errs != nil {
		t.Fatal(errs)
	}
	if errs := k.parked.Put(t.Context(), []queue.Message{m}); errs != nil {
		t.Fatal(errs)
	}
	if n := len(one(t, stored(t, b.Bootstrap(), name))); n != 1 {
		t.Errorf("it became %d records", n)
	}
	k.gates["a"] = queue.GateOpen
	k.serve()
	eventually(t, "it being taken", func() bool { return k.count("a") == 1 })
	if !bytes.Equal(k.took[0].Value, m.Value) {
		t.Error("it came back changed")
	}
	empties(t, b, name)
	k.stop()
}

// Two deployments read one topic; each serves and deletes only what it parked.
func TestDeploymentsKeepApart(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-apart", 1)
	other := *cfg
	other.Group = fresh("g")
	o := newKeeper(t, connect(t, &other), &other)
	o.prepare()
	k.gates["a"], o.gates["a"] = queue.GateOpen, queue.GateOpen
	k.park(cfg, "a", 0, 20)
	o.park(&other, "a", 0, 30)
	foreign := parkedRecord(&other, "a", 99) // in the wrong place: it waits for its deployment
	if errs := k.parked.Put(t.Context(), []queue.Message{foreign}); errs != nil {
		t.Fatal(errs)
	}
	k.serve()
	eventually(t, "the first deployment's being taken", func() bool { return k.count("a") == 20 })
	if starts := b.Starts(t, cfg.Topics[0]+"."+other.Group+".parked.shop.es"); starts[0] != 0 {
		t.Errorf("records of the other deployment were deleted up to %d", starts[0])
	}
	eventually(t, "a complaint about what is not ours", func() bool { return k.logs.FilterMessageSnippet("does not have").Len() == 1 })
	o.serve()
	eventually(t, "the second deployment's being taken", func() bool { return o.count("a") == 30 })
	empties(t, b, cfg.Topics[0]+"."+other.Group+".parked.shop.es")
	k.stop()
	o.stop()
	if k.count("a") != 20 {
		t.Errorf("the first deployment took %d records", k.count("a"))
	}
	if rs := one(t, stored(t, b.Bootstrap(), name)); len(rs) != 1 || string(rs[0].Value) != "a/00099" {
		t.Errorf("what is not ours is no longer there: %v", rs)
	}
}
