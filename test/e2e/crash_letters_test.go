//go:build unix

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// homeless is the project of groups that no route takes.
const homeless = "homeless"

// letterBodies are the values of all dead letters.
func (x *crashed) letterBodies(t *testing.T) [][]byte {
	t.Helper()
	if x.kafka != nil {
		return x.kafka.letterBodies(t)
	}
	return x.broker.letterBodies(t)
}

func (b *broker) letterBodies(t *testing.T) (all [][]byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := b.js.Stream(ctx, streamName+"_"+b.durable+"_DLQ")
	if err != nil {
		t.Fatalf("couldn't ask for the dead letters: %v", err)
	}
	state := s.CachedInfo().State
	for seq := state.FirstSeq; seq <= state.LastSeq; seq++ {
		m, err := s.GetMsg(ctx, seq)
		if err != nil {
			t.Fatalf("couldn't read dead letter %d: %v", seq, err)
		}
		all = append(all, m.Data)
	}
	return all
}

func (k *kafka) letterBodies(t *testing.T) (all [][]byte) {
	t.Helper()
	want := k.letters(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cl := k.cluster.Client(t, kgo.ConsumeTopics(k.topic+"."+k.group+".dlq"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	for int64(len(all)) < want {
		fetched := cl.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			t.Fatalf("couldn't read the dead letters, %d of %d came: %v", len(all), want, err)
		}
		fetched.EachRecord(func(r *kgo.Record) { all = append(all, r.Value) })
	}
	return all
}
