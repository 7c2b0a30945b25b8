package nats

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
)

// kind is one of the companions that a stream and a deployment have.
type kind struct {
	suffix    string // of the stream's name
	holds     string // what a person calls its messages
	title     string // what a person calls the stream
	retention jetstream.RetentionPolicy
	consumers int    // most durables; -1: the server's limit
	owned     bool   // its metadata says whose it is
	otherwise string // what to do if it cannot be created
}

var (
	lettersKind = &kind{
		suffix: "_DLQ", holds: "letters", title: "dead letter stream", retention: jetstream.LimitsPolicy, consumers: -1,
		otherwise: ", or keep letters in files: dead_letter: {file: DIR}",
	}
	parkedKind = &kind{
		suffix: "_PARKED", holds: "parked records", title: "stream of parked records", retention: jetstream.WorkQueuePolicy,
		consumers: parkedConsumers, owned: true, otherwise: ", or let routes wait instead: when_blocked: wait",
	}
)

// stream is the companion's name: one for each stream and deployment.
func (k *kind) stream(one Consumer) string { return one.Stream + "_" + one.Durable + k.suffix }

// ownerKey is the stream's metadata that names stream and durable. Without it the
// companions of LOGS_a with b and of LOGS with a_b would be one.
const ownerKey = "flushline.companion.of"

func owner(one Consumer) string { return one.Stream + "/" + one.Durable }

// config is the companion as we make it.
func (k *kind) config(one Consumer, replicas int) jetstream.StreamConfig {
	name := k.stream(one)
	c := unlimited(name, []string{name + ".>"}, replicas)
	c.Retention, c.MaxConsumers = k.retention, k.consumers
	if k.owned {
		c.Metadata = map[string]string{ownerKey: owner(one)}
	}
	return c
}

// DeadLetters is the dead letter companion of a consumer: the stream
// <stream>_<durable>_DLQ with the subjects <its name>.>, on file, with the
// replicas of the source's stream, without any limit on age, refusing new letters
// rather than deleting old ones when it is full. It is created if it is missing.
//
// One that would lose letters is refused with the command that mends it. If it
// cannot be created the error names the permission, `flushline setup` and the
// option to write to files instead.
func DeadLetters(ctx context.Context, conn *Conn, cfg *Config, one Consumer) (*Sink, error) {
	if err := lettersKind.ensure(ctx, conn, cfg, one); err != nil {
		return nil, err
	}
	name := lettersKind.stream(one)
	return newSink(ctx, conn, name, name+".")
}

// ensure creates or verifies the companion.
func (k *kind) ensure(ctx context.Context, conn *Conn, cfg *Config, one Consumer) error {
	name := k.stream(one)
	p := &planner{conn: conn, cfg: cfg, streams: map[string]*streamInfo{}}
	if err := p.companion(ctx, one, k); err != nil {
		return fmt.Errorf("couldn't verify the %s %s: %w", k.title, name, err)
	}
	step := &p.steps[0]
	if err := step.Apply(ctx); err != nil {
		if step.Action != queue.Create {
			return err
		}
		return fmt.Errorf("%w; allow this user to publish to %sSTREAM.CREATE.%s, or run as a user who may: flushline setup -c FILE%s",
			err, conn.prefix, name, k.otherwise)
	}
	return nil
}

// companion plans a companion of a consumer.
func (p *planner) companion(ctx context.Context, one Consumer, k *kind) error {
	name := k.stream(one)
	replicas := max(p.o.Replicas, 1)
	source := p.streams[one.Stream]
	if source == nil {
		var missing *queue.MissingError
		found, err := p.conn.stream(ctx, one.Stream)
		if err != nil && !errors.As(err, &missing) {
			return err
		}
		source = found
	}
	if source != nil {
		replicas = max(source.Config.Replicas, 1)
	}
	info, err := p.conn.stream(ctx, name)
	var missing *queue.MissingError
	switch {
	case errors.As(err, &missing):
		p.steps = append(p.steps, p.conn.createStream("companion", k.config(one, replicas)))
		return nil
	case err != nil:
		return err
	}
	p.existing(queue.Step{What: "companion", Name: name}, k.findings(info, one, replicas), func(ctx context.Context, fs []queue.Finding) error {
		return p.conn.updateStream(ctx, info, fs)
	})
	return nil
}

// findings is stricter than streamFindings: nobody chose to lose letters or parked
// records, and these streams are ours.
func (k *kind) findings(s *streamInfo, one Consumer, replicas int) []queue.Finding {
	c, name := &s.Config, k.stream(one)
	o := &object{name: "stream " + name, cli: "nats stream edit " + name}
	gone := k.holds + " nobody has read would be deleted"
	theirs, marked := c.Metadata[ownerKey]
	anew := fmt.Sprintf("nats stream backup %[1]s DIR, then nats stream rm %[1]s (it cannot be changed in place)", name)
	return o.check([]setting{
		{
			bad: !coveredByAny(c.Subjects, name+".>"), severity: queue.Error, field: "subjects", found: c.Subjects, wanted: name + ".>",
			why: k.holds + " could not be stored", change: mergeSubjects(c.Subjects, []string{name + ".>"}),
		},
		{bad: c.MaxAge > 0, severity: queue.Error, field: "max_age", found: c.MaxAge, wanted: "0 (no limit)", why: gone, change: 0},
		{bad: c.Discard != jetstream.DiscardNew, severity: queue.Error, field: "discard", found: c.Discard, wanted: jetstream.DiscardNew, why: gone + " when it is full", change: jetstream.DiscardNew},
		{
			bad: c.MaxMsgsPerSubject > 0 && !c.DiscardNewPerSubject, severity: queue.Error, field: "max_msgs_per_subject", found: c.MaxMsgsPerSubject, wanted: -1,
			why: gone, change: -1,
		},
		{bad: c.AllowRollup, severity: queue.Error, field: "allow_rollup_hdrs", found: true, wanted: false, why: gone + " by one message with a Nats-Rollup header", change: false},
		{bad: c.NoAck, severity: queue.Error, field: "no_ack", found: true, wanted: false, why: "nothing would ever be confirmed as stored, so nothing behind it acknowledged", change: false},
		{bad: c.Sealed, severity: queue.Error, field: "sealed", found: true, wanted: false, why: "it takes no " + k.holds, mend: anew},
		{bad: c.SubjectTransform != nil, severity: queue.Error, field: "subject_transform", found: transform(c.SubjectTransform), wanted: "none", why: k.holds + " would not be found by their route and flusher"},
		{bad: c.Retention != k.retention, severity: queue.Error, field: "retention", found: c.Retention, wanted: k.retention, why: k.keeping(), mend: anew},
		{bad: c.Storage != jetstream.FileStorage, severity: queue.Error, field: "storage", found: c.Storage, wanted: jetstream.FileStorage, why: "a restart of the server would lose " + k.holds, mend: anew},
		{bad: c.AllowMsgTTL, severity: queue.Warning, field: "allow_msg_ttl", found: true, wanted: false, why: "other producers could make " + k.holds + " expire", mend: anew},
		{
			bad: c.Replicas < replicas, severity: queue.Warning, field: "num_replicas", found: c.Replicas, wanted: replicas,
			why: k.holds + " survive less than the source's messages do", change: replicas,
		},
		{
			bad: k.owned && marked && theirs != owner(one), severity: queue.Error, field: "metadata " + ownerKey, found: theirs, wanted: owner(one),
			why: "the parked records of another deployment would be taken for ours", mend: "give the durable another name, so that the names of the companions differ",
		},
		{
			bad: k.consumers > 0 && c.MaxConsumers > 0 && c.MaxConsumers < k.consumers/4, severity: queue.Warning, field: "max_consumers", found: c.MaxConsumers, wanted: k.consumers,
			why: "only so many lanes are served at once", mend: anew,
		},
	})
}

// keeping says what a wrong retention does.
func (k *kind) keeping() string {
	if k.retention == jetstream.WorkQueuePolicy {
		return "what was delivered would stay, and be delivered again by the next consumer of its lane"
	}
	return k.holds + " nobody has read would be deleted"
}

// CompanionNames are the streams that a consumer's dead letters and parked records go
// to. Nothing is asked: they need not be there.
func CompanionNames(one Consumer) (letters, parked string) {
	return lettersKind.stream(one), parkedKind.stream(one)
}
