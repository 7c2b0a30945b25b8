package kafka_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/kafkabroker"
)

// onlyPasses fails if something else than a RetryAfter came: any other class blames the
// data, or makes the lane wait for half a minute.
func onlyPasses(t *testing.T, seen map[flushers.Class]int) {
	t.Helper()
	for class := range seen {
		if class != flushers.ClassRetryAfter {
			t.Errorf("brokers in trouble are said to be %v", class)
		}
	}
}

// Groups with keys go to the partitions of all three brokers.
func TestThreeBrokers(t *testing.T) {
	t.Parallel()
	c := kafkabroker.Start(t, kafkabroker.Options{Nodes: 3})
	keyed := map[string]any{"key": []any{"tag.id"}, "timeout": "3s"}
	topic := func(name string, configs map[string]string) string {
		c.CreateTopic(t, name, 6, 3, configs)
		c.Ends(t, name)
		return name
	}
	var all []*protocol.LogGroup
	moves, strict := topic("moves", nil), topic("strict", map[string]string{"min.insync.replicas": "3"})
	f, any := openAt(t, c.Bootstrap(), moves, keyed), openAt(t, c.Bootstrap(), moves, map[string]any{"timeout": "3s"})
	onlyPasses(t, deliver(t, f, time.Minute, numbered("before", 60)...))

	t.Run("leaders move", func(t *testing.T) {
		for partition := range int32(6) {
			c.MoveLeader(t, moves, partition, c.Leader(t, moves, partition)%3+1)
			batch := numbered(fmt.Sprint("moved-", partition), 60)
			onlyPasses(t, deliver(t, f, time.Minute, batch...))
			all = append(all, batch...)
		}
		complete(t, c, moves, all...)
	})
	t.Run("a leader freezes", func(t *testing.T) {
		// Without replicas elsewhere nobody but the frozen broker holds anything up.
		c.CreateTopic(t, "single", 6, 1, nil)
		c.Ends(t, "single")
		single := openAt(t, c.Bootstrap(), "single", keyed)
		onlyPasses(t, deliver(t, single, time.Minute, numbered("warm", 60)...))
		frozen := c.Node(c.Leader(t, "single", 0))
		frozen.Freeze(t)
		thawed := false
		defer func() {
			if !thawed {
				frozen.Thaw()
			}
		}()
		batch := numbered("frozen", 60)
		err := flush(t, single, batch...)
		passed, waits := 0, 0
		for _, class := range classes(err, len(batch)) {
			switch class {
			case flushers.ClassNone:
				passed++
			case flushers.ClassRetryAfter:
				waits++
			}
		}
		if passed == 0 || waits == 0 || passed+waits != len(batch) {
			t.Errorf("%d groups are stored and %d wait, of %d, while one of three leaders is frozen: %v", passed, waits, len(batch), err)
		}
		onlyPasses(t, deliver(t, f, time.Minute, batch...)) // others lead what it led
		frozen.Thaw()
		thawed = true
		onlyPasses(t, deliver(t, single, time.Minute, batch...))
		c.InSync(t, moves)
		complete(t, c, moves, batch...)
		complete(t, c, "single", batch...)
	})
	t.Run("a leader is killed", func(t *testing.T) {
		dead := c.Node(c.Leader(t, moves, 0))
		dead.Kill()
		batch, free := numbered("killed", 60), numbered("any", 60)
		onlyPasses(t, deliver(t, any, time.Minute, free...))
		onlyPasses(t, deliver(t, f, time.Minute, batch...))
		s := openAt(t, c.Bootstrap(), strict, keyed)
		few := numbered("strict", 6)
		err := flush(t, s, few...)
		for deadline := time.Now().Add(30 * time.Second); !strings.Contains(fmt.Sprint(err), "min.insync.replicas"); err = flush(t, s, few...) {
			if time.Now().After(deadline) {
				t.Fatalf("two of three replicas do for min.insync.replicas 3: %v", err)
			}
		}
		for i, class := range classes(err, len(few)) {
			if class != flushers.ClassRetryAfter {
				t.Errorf("group %d without enough replicas is said to be %v", i, class)
			}
		}
		dead.Restart(t)
		onlyPasses(t, deliver(t, s, time.Minute, few...))
		onlyPasses(t, deliver(t, f, time.Minute, numbered("after", 60)...))
		complete(t, c, moves, append(batch, free...)...)
		complete(t, c, strict, few...)
	})
}

func TestATopicComesAndGoes(t *testing.T) {
	t.Parallel()
	c := kafkabroker.Shared(t)
	f := openAt(t, c.Bootstrap(), "comes-and-goes", nil)
	err := flush(t, f, group("none"))
	wantClass(t, err, flushers.ClassMisconfigured)
	if text := fmt.Sprint(err); !strings.Contains(text, "--create --topic comes-and-goes") {
		t.Errorf("it is not said how to create it: %s", text)
	}
	c.CreateTopic(t, "comes-and-goes", 1, 1, nil)
	onlyPasses(t, deliver(t, f, time.Minute, group("one")))

	c.DeleteTopic(t, "comes-and-goes")
	wantClass(t, flush(t, f, group("lost?")), flushers.ClassRetryAfter)
	class := flushers.ClassNone
	for deadline := time.Now().Add(30 * time.Second); class != flushers.ClassMisconfigured; class, _ = flushers.Classify(flush(t, f, group("lost?"))) {
		if class == flushers.ClassPermanent || time.Now().After(deadline) {
			t.Fatalf("a topic that was deleted is said to be %v", class)
		}
		<-time.After(200 * time.Millisecond)
	}
	c.CreateTopic(t, "comes-and-goes", 2, 1, nil)
	onlyPasses(t, deliver(t, f, time.Minute, group("two")))
	complete(t, c, "comes-and-goes", group("two"))
}

func TestATopicThatTakesLess(t *testing.T) {
	t.Parallel()
	c := kafkabroker.Shared(t)
	c.CreateTopic(t, "takes-less", 1, 1, map[string]string{"max.message.bytes": "2000"})
	c.Ends(t, "takes-less")
	f := openAt(t, c.Bootstrap(), "takes-less", nil)
	groups := numbered("small", 200)
	large := group("large")
	large.Logs[0].Contents = append(large.Logs[0].Contents, &protocol.Log_Content{Key: "text", Value: strings.Repeat("x", 3000)})
	groups[77] = large
	got := classes(flush(t, f, groups...), len(groups))
	for i, class := range got {
		want := flushers.ClassNone
		if i == 77 {
			want = flushers.ClassTooLarge
		}
		if class != want {
			t.Errorf("group %d: %v, want %v", i, class, want)
		}
	}
	have := stored(t, c, "takes-less")
	for i := range groups {
		if id := fmt.Sprint("small-", i); i != 77 && have[id] != 1 {
			t.Errorf("%s stands %d times in the topic", id, have[id])
		}
	}
}

// A broker with TLS, passwords and rights.
func TestAGuardedBroker(t *testing.T) {
	t.Parallel()
	c := kafkabroker.Start(t, kafkabroker.Options{SASL: []string{kafkabroker.Plain, kafkabroker.ScramSHA512}, TLS: true, ClientCerts: true, Authorizer: true})
	c.CreateTopic(t, "guarded", 1, 1, nil)
	certs, dir := c.Certs(), t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	replace(t, certs.OtherCA, ca)
	sasl := func(mechanism, user, password string) map[string]any {
		return map[string]any{
			"sasl": map[string]any{"mechanism": mechanism, "user": user, "password": password},
			"tls":  map[string]any{"ca": ca, "cert": certs.Client, "key": certs.Key},
		}
	}
	right := openAt(t, c.Bootstrap(), "guarded", sasl("scram-sha-512", kafkabroker.User, kafkabroker.Password))
	wantClass(t, flush(t, right, group("untrusted")), flushers.ClassMisconfigured)
	replace(t, certs.CA, ca)
	onlyPasses(t, deliver(t, right, time.Minute, group("trusted")))
	onlyPasses(t, deliver(t, openAt(t, c.Bootstrap(), "guarded", sasl("plain", kafkabroker.User, kafkabroker.Password)), time.Minute, group("plain")))

	wrong := openAt(t, c.Bootstrap(), "guarded", sasl("plain", kafkabroker.User, "guess"))
	err := flush(t, wrong, group("wrong password"))
	wantClass(t, err, flushers.ClassMisconfigured)
	if strings.Contains(fmt.Sprint(err), "guess") {
		t.Errorf("the error shows the password: %v", err)
	}
	limited := openAt(t, c.Bootstrap(), "guarded", sasl("plain", kafkabroker.Limited, kafkabroker.Password))
	wantClass(t, flush(t, limited, group("may not see")), flushers.ClassMisconfigured)
	c.Allow(t, kafkabroker.Limited, kmsg.ACLResourceTypeTopic, "guarded", kmsg.ACLOperationDescribe)
	err = flush(t, limited, group("may not write"))
	wantClass(t, err, flushers.ClassMisconfigured)
	if !strings.Contains(fmt.Sprint(err), "Describe and Write the topic") {
		t.Errorf("it is not said which right is missing: %v", err)
	}
	c.Allow(t, kafkabroker.Limited, kmsg.ACLResourceTypeTopic, "guarded", kmsg.ACLOperationWrite)
	deliver(t, limited, time.Minute, group("may write"))
	complete(t, c, "guarded", group("trusted"), group("plain"), group("may write"))
}

// replace puts another file in the place of one.
func replace(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	next := to + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, to); err != nil {
		t.Fatal(err)
	}
}

func TestAQuotaMakesLanesUnready(t *testing.T) {
	t.Parallel()
	c := kafkabroker.Shared(t)
	c.CreateTopic(t, "quota", 1, 1, nil)
	c.Ends(t, "quota")
	cl := c.Client(t)
	defer cl.Close()
	req := kmsg.NewPtrAlterClientQuotasRequest()
	entry, entity, op := kmsg.NewAlterClientQuotasRequestEntry(), kmsg.NewAlterClientQuotasRequestEntryEntity(), kmsg.NewAlterClientQuotasRequestEntryOp()
	entity.Type, entity.Name = "client-id", kmsg.StringPtr("slow")
	op.Key, op.Value = "producer_byte_rate", 10_000
	entry.Entity, entry.Ops = append(entry.Entity, entity), append(entry.Ops, op)
	req.Entries = append(req.Entries, entry)
	if _, err := req.RequestWith(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	f := openAt(t, c.Bootstrap(), "quota", map[string]any{"client_id": "slow"})
	unready := func() bool { return !f.IsReady("shop", "cart", 1) }
	for n, deadline := 0, time.Now().Add(30*time.Second); !unready(); n++ {
		if time.Now().After(deadline) {
			t.Fatal("a quota of 10,000 bytes a second does not hold the lanes back")
		}
		large := group(fmt.Sprint("large-", n))
		large.Logs[0].Contents = append(large.Logs[0].Contents, &protocol.Log_Content{Key: "text", Value: strings.Repeat("x", 20_000)})
		if err := flush(t, f, large); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); unready(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is never ready again")
		}
	}
}
