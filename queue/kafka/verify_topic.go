package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// shortRetention is the retention below which a night's pause loses messages.
const shortRetention = 24 * time.Hour

func (v *verifier) topic(ctx context.Context, name string, d *described) {
	if d == nil {
		v.absentTopic(name)
		return
	}
	v.leaders(d)
	if err := v.readable(ctx, d); errors.Is(err, kafkago.TopicAuthorizationFailed) {
		v.add(queue.Finding{
			Severity: queue.Error, Object: "topic " + name, Field: "rights", Found: "not to be read by this user", Wanted: "Read and Describe",
			Why: "nothing would be delivered", Mend: v.acl("Read,Describe", "topic", name),
		})
	}
	v.findings = append(v.findings, compare(v.cfg, name, v.sourceRows(d))...)
}

func (v *verifier) absentTopic(name string) {
	f := queue.Finding{Object: "topic " + name, Severity: queue.Error, Field: "rights", Wanted: "Read and Describe", Why: "nothing of it would be delivered"}
	switch err := v.cluster.Topics[name].Err; {
	case errors.Is(err, kafkago.TopicAuthorizationFailed):
		f.Found, f.Mend = "not to be described by this user, if it exists", v.acl("Read,Describe", "topic", name)
	case err == nil, errors.Is(err, kafkago.UnknownTopicOrPartition):
		f.Severity, f.Field, f.Found, f.Wanted = queue.Warning, "partitions", "0, it does not exist", "1 or more"
		f.Why, f.Mend = "nothing of it is delivered until it appears", "flushline setup -c FILE"
	default:
		f.Severity, f.Field, f.Found, f.Wanted = queue.Warning, "state", err.Error(), "described by the brokers"
		f.Why, f.Mend = "nothing of it is delivered while the brokers say so", wire.Advice(err)
		if f.Mend == "" {
			f.Mend = "see the brokers' logs"
		}
	}
	v.add(f)
}

func (v *verifier) leaders(d *described) {
	var without []string
	for _, p := range d.Partitions {
		if _, ok := v.cluster.Brokers[p.Leader]; !ok {
			without = append(without, strconv.Itoa(int(p.ID)))
		}
	}
	if len(without) > 0 {
		v.add(queue.Finding{
			Severity: queue.Warning, Object: "topic " + d.Name, Field: "leader", Found: "missing for partition " + strings.Join(without, ", "), Wanted: "a broker",
			Why: "these partitions are not read until they have one", Mend: "bring back the brokers that hold them",
		})
	}
}

// readable fetches nothing from one partition: rights belong to topics.
func (v *verifier) readable(ctx context.Context, d *described) error {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	for _, p := range d.Partitions {
		b, ok := v.cluster.Brokers[p.Leader]
		if !ok {
			continue
		}
		at := wire.TopicPartition{Topic: d.Name, Partition: p.ID}
		ends, err := v.client.ListOffsets(ctx, b.Addr(), false, []wire.OffsetAt{{TopicPartition: at, Time: wire.Latest}})
		if err != nil {
			return err
		}
		if err := ends[at].Err; err != nil {
			return err
		}
		got, err := v.client.Fetch(ctx, b.Addr(), &wire.FetchRequest{
			MaxBytes:   1,
			Partitions: []wire.FetchPartition{{TopicPartition: at, Offset: ends[at].Offset, LeaderEpoch: -1, MaxBytes: 1}},
		})
		if err != nil {
			return err
		}
		defer got.Release()
		for i := range got.Partitions {
			if err := got.Partitions[i].Err; err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

// sourceRows are the settings of a topic that lose or hide messages. They are
// choices of its owner: none of them stops a start, and setup changes none.
func (v *verifier) sourceRows(d *described) []setting {
	policy, unclean := d.settings[cleanupPolicy], d.settings[uncleanElection]
	kept, knowsKept := d.number(retentionTime)
	bytes, knowsBytes := d.number(retentionBytes)
	inSync, knowsInSync := d.number(minInSyncReplicas)
	limit, knowsLimit := d.limit()
	return []setting{
		{
			bad: knowsKept && kept >= 0 && kept < shortRetention.Milliseconds(), severity: queue.Warning, field: retentionTime,
			found: fmt.Sprintf("%d (%v)", kept, time.Duration(kept)*time.Millisecond), wanted: "more than the longest pause you want to survive",
			why: "what is not flushed by then is lost, and counted as passed over", to: strconv.FormatInt((7 * 24 * time.Hour).Milliseconds(), 10),
		},
		{
			bad: knowsBytes && bytes >= 0, severity: queue.Warning, field: retentionBytes, found: fmt.Sprintf("%d for each partition", bytes), wanted: "-1",
			why: "the oldest messages are deleted when a partition has more, flushed or not", to: "-1",
		},
		{
			bad: strings.Contains(policy, "compact"), severity: queue.Warning, field: cleanupPolicy, found: policy, wanted: "delete",
			why: "a message is removed when a later one has its key, flushed or not", to: "delete",
		},
		{
			bad: unclean == "true", severity: queue.Warning, field: uncleanElection, found: unclean, wanted: "false",
			why: "a replica that misses messages may become leader: they are lost, and positions are used twice", to: "false",
		},
		{
			bad: d.replicas == 1 && len(v.cluster.Brokers) > 1, severity: queue.Warning, field: "replication factor", found: "1", wanted: "3",
			why: "messages are lost with the disk of one broker, and not delivered while it is away", mend: "kafka-reassign-partitions.sh",
		},
		{
			bad: d.replicas > 1 && knowsInSync && inSync < 2, severity: queue.Warning, field: minInSyncReplicas, found: strconv.FormatInt(inSync, 10), wanted: "2",
			why: "a message may be confirmed to its producer that only one broker has", to: "2",
		},
		{
			bad: v.maxMessage > 0 && knowsLimit && int64(limit) > v.maxMessage, severity: queue.Warning, field: maxMessageBytes,
			found: strconv.Itoa(limit), wanted: fmt.Sprintf("at most limits.message (%d)", v.maxMessage),
			why: "a message between the two becomes a dead letter (too_large)", mend: fmt.Sprintf("limits: {message: %d} in the configuration, and in_flight of four times that", limit),
		},
	}
}
