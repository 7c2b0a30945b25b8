package wire_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// Each test here holds a fact about kafka-go or the protocol that data was lost by.

// kafka-go's Heartbeat takes the error for the throttle time.
func TestErrorOfAHeartbeatIsItsError(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	for _, code := range []kafka.Error{kafka.RebalanceInProgress, kafka.IllegalGeneration, kafka.UnknownMemberId, kafka.FencedInstanceID} {
		k.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
			r := kmsg.NewPtrHeartbeatResponse()
			r.Version, r.ErrorCode, r.ThrottleMillis = 3, int16(code), 5000
			return r, nil, true
		})
		err := client(t, to(k)).Heartbeat(within(t, 10*time.Second), k.ListenAddrs()[0], wire.Membership{Group: "g"})
		if !errors.Is(err, code) {
			t.Errorf("code %d gave %v", code, err)
		}
	}
}

// kafka-go decodes the assignment before the error: every error is an EOF.
func TestErrorOfASyncIsItsError(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	k.ControlKey(int16(kmsg.SyncGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		r := kmsg.NewPtrSyncGroupResponse()
		r.Version, r.ErrorCode = 3, int16(kafka.RebalanceInProgress)
		return r, nil, true
	})
	_, err := client(t, to(k)).Sync(within(t, 10*time.Second), k.ListenAddrs()[0], &wire.SyncRequest{Group: "g"})
	if !errors.Is(err, kafka.RebalanceInProgress) {
		t.Errorf("the error is %v", err)
	}
}

// The group's code is 0 while the member's says that nothing was left.
func TestErrorOfALeavingMemberIsSeen(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	k.ControlKey(int16(kmsg.LeaveGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		r := kmsg.NewPtrLeaveGroupResponse()
		m := kmsg.NewLeaveGroupResponseMember()
		m.MemberID, m.ErrorCode = "m", int16(kafka.UnknownMemberId)
		r.Version, r.Members = 3, append(r.Members, m)
		return r, nil, true
	})
	err := client(t, to(k)).Leave(within(t, 10*time.Second), k.ListenAddrs()[0], wire.Membership{Group: "g", Member: "m"})
	if !errors.Is(err, kafka.UnknownMemberId) {
		t.Errorf("the error is %v", err)
	}
}

// kafka-go commits leader epoch 0, and other clients rewind after a leader change.
func TestCommitSendsNoLeaderEpoch(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	seen := make(chan *kmsg.OffsetCommitRequest, 1)
	k.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if q, is := r.(*kmsg.OffsetCommitRequest); is {
			seen <- q
		}
		return nil, nil, false
	})
	p := wire.TopicPartition{Topic: "logs", Partition: 1}
	m := wire.Membership{Group: "g", Generation: -1}
	failed, err := client(t, to(k)).Commit(within(t, 10*time.Second), k.ListenAddrs()[0], m, []wire.CommitPartition{{TopicPartition: p, Offset: 3, Metadata: "x"}})
	if err != nil || len(failed) != 0 {
		t.Fatal(err, failed)
	}
	q := <-seen
	got := q.Topics[0].Partitions[0]
	if q.Version != 7 || got.LeaderEpoch != -1 || got.Offset != 3 || got.Partition != 1 || *got.Metadata != "x" {
		t.Errorf("version %d: %+v", q.Version, got)
	}
}

// A request is not interrupted by a cancelled context: the caller leaves, and what
// was asked happens.
func TestCancelledCallReturnsAndItsRequestGoesOn(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	c := client(t, to(k))
	ctx, cancel := context.WithCancel(within(t, 30*time.Second))
	left := make(chan struct{})
	k.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		cancel()
		k.SleepControl(func() { <-left }) // no answer before the caller has gone
		return nil, nil, false
	})
	p := wire.TopicPartition{Topic: "logs"}
	m := wire.Membership{Group: "g", Generation: -1}
	_, err := c.Commit(ctx, k.ListenAddrs()[0], m, []wire.CommitPartition{{TopicPartition: p, Offset: 3}})
	close(left)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the cancelled call gave %v", err)
	}
	after := within(t, 20*time.Second)
	for found := int64(-1); found != 3; {
		got, err := c.Committed(after, k.ListenAddrs()[0], "g", []wire.TopicPartition{p})
		if err != nil {
			t.Fatal("the commit was never stored: ", err)
		}
		found = got[p].Offset
	}
}

// A broker that accepts and says nothing costs a call its own time, and nobody else's.
func TestFrozenBrokerCostsItsOwnCallsOnly(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	frozen := listen(t)
	c := client(t, to(k))
	const patience = 3 * time.Second
	short, begun := within(t, patience), time.Now()
	stuck := make(chan error, 1)
	go func() { stuck <- c.Heartbeat(short, frozen, wire.Membership{Group: "g"}) }()
	for range 20 {
		if _, err := c.Metadata(within(t, 20*time.Second), nil); err != nil {
			t.Fatal(err)
		}
	}
	err := <-stuck
	if took := time.Since(begun); took > patience+10*time.Second {
		t.Errorf("the call took %v", took)
	}
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer to the first request") ||
		!strings.Contains(err.Error(), frozen) || !wire.IsCoordinatorMoved(err) || wire.IsPermanent(err) {
		t.Errorf("the frozen broker's error is %v", err)
	}
}

// listen is an address that accepts connections and never answers.
func listen(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, conn := range open {
			conn.Close()
		}
	})
	return l.Addr().String()
}

// refused is an address where nobody listens.
func refused(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestMetadataFindsTheBrokerThatAnswers(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	c := client(t, wire.Config{Brokers: []string{refused(t), listen(t), refused(t), k.ListenAddrs()[0]}})
	for range 3 {
		if _, err := c.Metadata(within(t, 30*time.Second), []string{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMetadataSaysWhatEachBrokerSaid(t *testing.T) {
	t.Parallel()
	dead, frozen := refused(t), listen(t)
	c := client(t, wire.Config{Brokers: []string{dead, frozen, "nowhere.invalid:9092"}})
	_, err := c.Metadata(within(t, 3*time.Second), []string{})
	if err == nil {
		t.Fatal("nobody answered, and there is no error")
	}
	for _, part := range []string{
		"couldn't read metadata at broker " + dead, "couldn't read metadata at broker " + frozen,
		"couldn't read metadata at broker nowhere.invalid:9092", "no TCP connection", "no answer to the first request",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error is without %q: %v", part, err)
		}
	}
	for _, part := range []string{"nothing listens at that address", "nobody speaks plain Kafka there"} {
		if !strings.Contains(wire.Advice(err), part) {
			t.Errorf("the advice is without %q: %s", part, wire.Advice(err))
		}
	}
}

// A coordinator at an address that only the brokers know points at their settings.
func TestAdvertisedAddressIsTheBrokersToCorrect(t *testing.T) {
	t.Parallel()
	c := client(t, to(cluster(t)))
	err := c.Heartbeat(within(t, 10*time.Second), refused(t), wire.Membership{Group: "g"})
	if got := wire.Advice(err); !strings.Contains(got, "advertised.listeners") {
		t.Errorf("%v: the advice is %q", err, got)
	}
}

// What kafka-go registered for its own calls stays as it was: another user of the
// library in this process must not read our formats.
func TestFormatsOfTheLibraryAreUntouched(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	if _, err := client(t, to(k)).Metadata(within(t, 10*time.Second), nil); err != nil {
		t.Fatal(err)
	}
	for _, key := range []protocol.ApiKey{protocol.Fetch, protocol.Metadata, protocol.Heartbeat, protocol.OffsetCommit, protocol.ApiVersions} {
		frame := make([]byte, 256)
		binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
		_, m, err := protocol.ReadResponse(bytes.NewReader(frame), key, key.MinVersion())
		if m == nil {
			t.Fatalf("%v: %v", key, err)
		}
		if path := reflect.TypeOf(m).Elem().PkgPath(); !strings.HasPrefix(path, "github.com/segmentio/kafka-go/protocol/") {
			t.Errorf("%v is read as a type of %s", key, path)
		}
	}
}

// A broker that is too old would close the connection without a word.
func TestBrokerTooOldIsNamedBeforeItIsAsked(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	old := func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		r := kmsg.NewPtrApiVersionsResponse()
		for key, most := range map[kmsg.Key]int16{kmsg.Fetch: 8, kmsg.Metadata: 8, kmsg.ApiVersions: 2} {
			a := kmsg.NewApiVersionsResponseApiKey()
			a.ApiKey, a.MaxVersion = int16(key), most
			r.ApiKeys = append(r.ApiKeys, a)
		}
		return r, nil, true
	}
	k.ControlKey(int16(kmsg.ApiVersions), old)
	c := client(t, to(k))
	ctx, addr := within(t, 20*time.Second), k.ListenAddrs()[0]
	_, err := c.Fetch(ctx, addr, &wire.FetchRequest{})
	if !errors.Is(err, kafka.UnsupportedVersion) || !strings.Contains(err.Error(), "Fetch 0 to 8, and version 11 is needed") || !wire.IsPermanent(err) {
		t.Errorf("Fetch gave %v", err)
	}
	err = c.CheckVersions(ctx, addr)
	if !errors.Is(err, kafka.UnsupportedVersion) || !strings.Contains(err.Error(), "does not know JoinGroup") || !strings.Contains(err.Error(), "Kafka 2.4") {
		t.Errorf("the check gave %v", err)
	}
}

func TestClosedClientSaysSo(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	c := client(t, to(k))
	ctx, addr := within(t, 30*time.Second), k.ListenAddrs()[0]
	asked := make(chan struct{})
	k.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(asked)
		return nil, nil, true // never answered
	})
	under := make(chan error, 1)
	go func() { under <- c.Heartbeat(ctx, addr, wire.Membership{Group: "g"}) }()
	<-asked
	c.Close()
	if err := <-under; !errors.Is(err, wire.ErrClosed) {
		t.Errorf("the call under way gave %v", err)
	}
	if err := c.Heartbeat(ctx, addr, wire.Membership{Group: "g"}); !errors.Is(err, wire.ErrClosed) || wire.IsTransport(err) {
		t.Errorf("the call after Close gave %v", err)
	}
}

// Brokers have no deadline for an answer; a caller without one must not wait for ever.
func TestCallWithoutDeadlineGetsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := client(t, wire.Config{Brokers: []string{"broker:9092"}, Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go io.Copy(io.Discard, theirs)
			return ours, nil
		}})
		begun := time.Now()
		err := c.Heartbeat(context.Background(), "broker:9092", wire.Membership{Group: "g"})
		if took := time.Since(begun); took != 15*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v the error is %v", took, err)
		}
		c.Close()
	})
}

func TestEachMechanismSignsIn(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		k := cluster(t, kfake.EnableSASL(), kfake.Superuser(strings.ToUpper(mechanism), "us,er=", "pass wörd"))
		cfg := to(k)
		cfg.AllowPlainWithoutTLS = true
		cfg.SASL = sasl(mechanism, "us,er=", "pass wörd")
		if _, err := client(t, cfg).Metadata(within(t, 10*time.Second), nil); err != nil {
			t.Error(mechanism, err)
		}
		cfg.SASL = sasl(mechanism, "us,er=", "other")
		_, err := client(t, cfg).Metadata(within(t, 10*time.Second), nil)
		if !strings.Contains(wire.Advice(err), "sasl.password") {
			t.Errorf("%s: a wrong password gave %v: %s", mechanism, err, wire.Advice(err))
		}
	}
}
