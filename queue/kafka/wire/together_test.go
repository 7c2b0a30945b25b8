package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
)

// scripted is a broker that answers lookups and writes when it is told to, and
// remembers what each request named.
type scripted struct {
	mu     sync.Mutex
	asked  [][]OffsetAt
	frames int
	busy   int
	most   int           // requests at a time
	answer chan struct{} // closed: at once
	code   int16
}

func scriptedClient(t *testing.T) (*Client, *scripted) {
	t.Helper()
	c, err := NewClient(Config{Brokers: []string{"broker:9092"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	s := &scripted{answer: make(chan struct{})}
	c.send = func(ctx context.Context, addr string, q *call) (*answer, error) {
		a, err := s.send(ctx, q)
		return a, c.explain(addr, new(link), err)
	}
	return c, s
}

func (s *scripted) send(ctx context.Context, q *call) (*answer, error) {
	frame, err := newFrame(q.api, 1, "", q.body)
	if err != nil {
		return nil, err
	}
	named := questions(q.api, frame[14:])
	s.mu.Lock()
	s.asked = append(s.asked, named)
	s.frames = max(s.frames, len(frame))
	s.busy++
	s.most = max(s.most, s.busy)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.busy--
		s.mu.Unlock()
	}()
	select {
	case <-s.answer:
		return &answer{body: s.body(q.api, named)}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// questions are what a request names; those of Committed and Produce have no time.
func questions(a api, body []byte) (list []OffsetAt) {
	d := &decoder{b: body}
	switch a {
	case apiCommitted:
		d.str()
	case apiListOffsets:
		d.int32()
		d.int8()
	case apiProduce:
		d.str()
		d.int16()
		d.int32()
	}
	d.eachPartition(0, func(p TopicPartition) {
		q := OffsetAt{TopicPartition: p}
		switch a {
		case apiListOffsets:
			d.int32()
			q.Time = d.int64()
		case apiProduce:
			d.bytes()
		}
		list = append(list, q)
	})
	return list
}

// body answers each partition with ten times its number as the offset.
func (s *scripted) body(a api, named []OffsetAt) []byte {
	e := &encoder{}
	if a != apiProduce {
		e.int32(0)
	}
	eachTopic(e, named, func(q *OffsetAt) string { return q.Topic }, func(e *encoder, q *OffsetAt) {
		e.int32(q.Partition)
		offset := 10 * int64(q.Partition)
		switch a {
		case apiCommitted:
			e.int64(offset)
			e.int32(-1)
			e.str(q.Topic)
			e.int16(0)
		case apiListOffsets:
			e.int16(0)
			e.int64(q.Time)
			e.int64(offset)
			e.int32(-1)
		case apiProduce:
			e.int16(0)
			e.int64(offset)
			e.int64(-1)
			e.int64(0)
			e.count(0)
			e.nullable("")
		}
	})
	switch a {
	case apiCommitted:
		e.int16(s.code)
	case apiProduce:
		e.int32(0)
	}
	return e.b
}

// each starts n calls, in order; wait returns when they have ended and whatever
// goes on without them has come to rest.
func each(n int, one func(int)) (wait func()) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { one(i) })
		synctest.Wait()
	}
	return func() {
		all.Wait()
		synctest.Wait()
	}
}

func partition(n int) TopicPartition {
	return TopicPartition{Topic: fmt.Sprintf("logs-%d", n%3), Partition: int32(n)}
}

// A worker that gets hundreds of partitions looks up a position for each of them.
func TestLookupsThatWaitBecomeOneRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scriptedClient(t)
		const n = 200
		wait := each(n, func(i int) {
			p := partition(i)
			got, err := c.Committed(t.Context(), "a", "g", []TopicPartition{p})
			want := map[TopicPartition]Committed{p: {Offset: 10 * int64(i), Metadata: p.Topic}}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
		close(s.answer)
		wait()
		if len(s.asked) != 2 || len(s.asked[1]) != n-1 || s.most != 1 {
			t.Fatalf("%d requests, %d at a time", len(s.asked), s.most)
		}
		var topics []string
		for _, q := range s.asked[1] {
			topics = append(topics, q.Topic)
		}
		if topics = slices.Compact(topics); len(topics) != 3 {
			t.Errorf("the request names topics more than once: %v", topics)
		}
	})
}

func TestOffsetsByTimeAreListedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scriptedClient(t)
		list := func(i int, stable bool, at int64) {
			p := partition(i)
			got, err := c.ListOffsets(t.Context(), "a", stable, []OffsetAt{{p, at}})
			want := map[TopicPartition]ListedOffset{p: {Offset: 10 * int64(i), Time: at}}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		}
		wait := each(100, func(i int) {
			switch {
			case i%4 < 2:
				list(i/4, false, Earliest-int64(i%2)*1000) // two times of one partition
			case i%4 == 2:
				list(i/4, true, Latest)
			default:
				list(i/4, true, Latest) // what somebody else asks as well
			}
		})
		close(s.answer)
		wait()
		if s.most != 1 {
			t.Errorf("%d requests at a time", s.most)
		}
		for _, named := range s.asked {
			seen := map[TopicPartition]int64{}
			for _, q := range named {
				if _, twice := seen[q.TopicPartition]; twice {
					t.Errorf("%s is named twice in one request", q.TopicPartition)
				}
				seen[q.TopicPartition] = q.Time
			}
		}
		if n := len(s.asked); n != 4 { // the first alone, two for the two times, one of the other isolation
			t.Errorf("%d requests", n)
		}
	})
}

// Batches of one partition keep to themselves, and requests stay within bounds.
func TestWritesThatWaitBecomeFewRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scriptedClient(t)
		wait := each(41, func(i int) {
			p := partition(i / 2)
			value := binary.BigEndian.AppendUint64(make([]byte, maxRound/10), uint64(i))
			got, err := c.Produce(t.Context(), "a", []Batch{{TopicPartition: p, Records: []Record{{Value: value}}}})
			want := map[TopicPartition]Stored{p: {Offset: 10 * int64(p.Partition)}}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
		close(s.answer)
		wait()
		written := 0
		for _, named := range s.asked {
			written += len(named)
			for i, q := range named {
				if slices.Contains(named[:i], q) {
					t.Errorf("%s is named twice in one request", q.TopicPartition)
				}
			}
		}
		if written != 41 || s.most != 1 || s.frames > maxRound+1024 || len(s.asked) > 7 {
			t.Errorf("%d batches in %d requests, %d at a time, of %d bytes at most", written, len(s.asked), s.most, s.frames)
		}
	})
}

// A broker that takes its time costs each caller its own time, and what nobody waits
// for any more is not asked.
func TestCallersThatLeaveAreNotAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scriptedClient(t)
		begun := time.Now()
		ends := make([]time.Duration, 4)
		wait := each(len(ends), func(i int) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration([]int{30, 5, 60, 60}[i])*time.Second)
			defer cancel()
			if i == 3 {
				time.AfterFunc(time.Second, cancel)
			}
			_, err := c.Committed(ctx, "a", "g", []TopicPartition{partition(i)})
			ends[i] = time.Since(begun)
			var named *Error
			want := context.DeadlineExceeded
			if i == 3 {
				want = context.Canceled
			}
			if !errors.As(err, &named) || named.Broker != "a" || !errors.Is(err, want) {
				t.Errorf("call %d: %v", i, err)
			}
		})
		wait()
		want := []time.Duration{30 * time.Second, 5 * time.Second, 60 * time.Second, time.Second}
		if diff := cmp.Diff(want, ends); diff != "" {
			t.Error(diff)
		}
		asked := [][]OffsetAt{{{TopicPartition: partition(0)}}, {{TopicPartition: partition(2)}}}
		if diff := cmp.Diff(asked, s.asked); diff != "" {
			t.Errorf("the requests: %s", diff)
		}
	})
}

// The request has the time of the most patient of its callers.
func TestRequestOutlastsItsImpatientCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scriptedClient(t)
		var errs [3]error
		wait := each(3, func(i int) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration([]int{1, 5, 60}[i])*time.Second)
			defer cancel()
			_, errs[i] = c.Committed(ctx, "a", "g", []TopicPartition{partition(i)})
		})
		time.Sleep(30 * time.Second)
		close(s.answer)
		wait()
		if errs[0] == nil || errs[1] == nil || errs[2] != nil || len(s.asked[1]) != 2 {
			t.Errorf("%v after requests for %v", errs, s.asked)
		}
	})
}

func TestErrorOfASharedRequestIsThatOfEachCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scriptedClient(t)
		s.code = int16(kafka.NotCoordinatorForGroup)
		wait := each(5, func(i int) {
			got, err := c.Committed(t.Context(), "a", "g", []TopicPartition{partition(i)})
			if !errors.Is(err, kafka.NotCoordinatorForGroup) || got != nil {
				t.Errorf("%v, %v", got, err)
			}
		})
		close(s.answer)
		wait()
		_, err := c.Committed(t.Context(), "a", "g", nil) // the verdict on the group alone
		if !errors.Is(err, kafka.NotCoordinatorForGroup) {
			t.Error(err)
		}
	})
}

// Groups and brokers have nothing to do with each other.
func TestOtherGroupsAndBrokersAreOtherRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scriptedClient(t)
		wait := each(6, func(i int) {
			at := []struct{ addr, group string }{{"a", "g"}, {"a", "h"}, {"b", "g"}}[i%3]
			if _, err := c.Committed(t.Context(), at.addr, at.group, []TopicPartition{partition(i)}); err != nil {
				t.Error(err)
			}
		})
		if s.busy != 2 {
			t.Errorf("%d requests at two brokers", s.busy)
		}
		close(s.answer)
		wait()
		if len(s.asked) != 5 { // g and g, h and h at a; g, then g at b
			t.Errorf("%d requests", len(s.asked))
		}
	})
}

func TestCloseEndsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scriptedClient(t)
		wait := each(5, func(i int) {
			if _, err := c.ListOffsets(t.Context(), "a", true, []OffsetAt{{partition(i), Latest}}); !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
		c.Close()
		wait()
	})
}
