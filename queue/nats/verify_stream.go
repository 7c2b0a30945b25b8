package nats

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
)

// streamFindings is the list of stream settings that lose data before it is
// delivered. Most are somebody's choice, so they are warnings.
func streamFindings(s *streamInfo, one Consumer) []queue.Finding {
	c := &s.Config
	o := &object{name: "stream " + c.Name, cli: "nats stream edit " + c.Name}
	const watched = "expired messages are counted as passed over"
	discards := c.Discard == jetstream.DiscardOld
	missing := notCovered(c, one.Subjects)
	var added any
	if len(missing) > 0 {
		added = mergeSubjects(c.Subjects, missing)
	}
	return o.check([]setting{
		{
			bad: len(missing) > 0, severity: queue.Error, field: "subjects", found: c.Subjects, wanted: strings.Join(missing, ", ") + " among them",
			why: "the stream stores nothing that the consumer's filter asks for", change: added,
		},
		{
			bad: c.Storage != jetstream.FileStorage, severity: queue.Warning, field: "storage", found: c.Storage, wanted: jetstream.FileStorage,
			why: "a restart of the server loses what is not flushed yet", mend: recreate(c.Name),
		},
		{
			bad: s.Cluster != nil && s.Cluster.Name != "" && c.Replicas < 2, severity: queue.Warning, field: "num_replicas", found: c.Replicas, wanted: 3,
			why: "one lost server loses the stream", mend: "nats stream edit " + c.Name + " --replicas 3",
		},
		{
			bad: c.Retention == jetstream.InterestPolicy, severity: queue.Warning, field: "retention", found: c.Retention, wanted: jetstream.LimitsPolicy,
			why: "what is published while the consumer does not exist is dropped", mend: recreate(c.Name),
		},
		{
			bad: c.Retention == jetstream.WorkQueuePolicy, severity: queue.Warning, field: "retention", found: c.Retention, wanted: jetstream.LimitsPolicy,
			why: "an acknowledged message is deleted and cannot be replayed", mend: recreate(c.Name),
		},
		{
			bad: c.MaxAge > 0, severity: queue.Warning, field: "max_age", found: c.MaxAge, wanted: "0 (no limit)",
			why: "a pause longer than that loses messages; " + watched,
		},
		{
			bad: c.MaxMsgs > 0 && discards, severity: queue.Warning, field: "max_msgs", found: c.MaxMsgs, wanted: "-1, or discard new",
			why: "the oldest messages are deleted, flushed or not; " + watched,
		},
		{
			bad: c.MaxBytes > 0 && discards, severity: queue.Warning, field: "max_bytes", found: c.MaxBytes, wanted: "-1, or discard new",
			why: "the oldest messages are deleted, flushed or not; " + watched,
		},
		{
			bad: c.MaxBytes > 0 && !discards && c.Retention == jetstream.LimitsPolicy && c.MaxAge == 0, severity: queue.Warning,
			field: "max_bytes", found: c.MaxBytes, wanted: "a max_age, too",
			why: "acknowledged messages stay, so a full stream refuses its publishers for good", mend: "nats stream edit " + c.Name + " --max-age 72h",
		},
		{
			bad: c.MaxMsgsPerSubject > 0 && (discards || !c.DiscardNewPerSubject), severity: queue.Warning, field: "max_msgs_per_subject", found: c.MaxMsgsPerSubject, wanted: -1,
			why: "newer messages of a key delete its older ones; " + watched,
		},
		{
			bad: c.AllowMsgTTL, severity: queue.Warning, field: "allow_msg_ttl", found: true, wanted: false,
			why: "a producer can make messages expire before they are flushed", mend: recreate(c.Name),
		},
		{
			bad: c.AllowRollup, severity: queue.Warning, field: "allow_rollup_hdrs", found: true, wanted: false,
			why: "one message with a Nats-Rollup header deletes all that came before it",
		},
		{
			bad: c.SubjectTransform != nil, severity: queue.Warning, field: "subject_transform", found: transform(c.SubjectTransform), wanted: "none",
			why: "messages are stored under other subjects than the filter and the key rules expect",
		},
		{
			bad: c.NoAck, severity: queue.Warning, field: "no_ack", found: true, wanted: false,
			why: "producers are not told whether a message was stored",
		},
		{
			bad: c.PersistMode == jetstream.AsyncPersistMode, severity: queue.Warning, field: "persist_mode", found: "async", wanted: "default",
			why: "producers are told that a message is stored before it is", mend: recreate(c.Name),
		},
	})
}

func recreate(stream string) string {
	return fmt.Sprintf("nats stream backup %[1]s DIR, nats stream rm %[1]s, flushline setup -c FILE (it cannot be changed in place)", stream)
}

func transform(t *jetstream.SubjectTransformConfig) string {
	if t == nil {
		return ""
	}
	return t.Source + " -> " + t.Destination
}

// notCovered is the filters that no subject of the stream covers. A stream that
// mirrors or sources others stores subjects it does not list.
func notCovered(c *jetstream.StreamConfig, filters []string) []string {
	if c.Mirror != nil || len(c.Sources) > 0 {
		return nil
	}
	var missing []string
	for _, f := range filters {
		if !coveredByAny(c.Subjects, f) {
			missing = append(missing, f)
		}
	}
	return missing
}

func coveredByAny(subjects []string, filter string) bool {
	for _, s := range subjects {
		if covers(s, filter) {
			return true
		}
	}
	return false
}

// covers says whether each subject that pattern b matches is matched by a.
func covers(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i, t := range as {
		switch {
		case i >= len(bs):
			return false
		case t == ">":
			return true
		case bs[i] == ">":
			return false
		case t != "*" && t != bs[i]:
			return false
		}
	}
	return len(as) == len(bs)
}

// mergeSubjects adds subjects to a list and leaves out what another one covers:
// the server refuses subjects of one stream that overlap.
func mergeSubjects(lists ...[]string) []string {
	var out []string
	for _, list := range lists {
		for _, s := range list {
			if coveredByAny(out, s) {
				continue
			}
			kept := out[:0:0]
			for _, o := range out {
				if !covers(s, o) {
					kept = append(kept, o)
				}
			}
			out = append(kept, s)
		}
	}
	return out
}
