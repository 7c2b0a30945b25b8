package nats

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
)

// deadLetterStream is the companion's name: one for each stream and deployment.
func deadLetterStream(one Consumer) string { return one.Stream + "_" + one.Durable + "_DLQ" }

// DeadLetters is the dead letter companion of a consumer: the stream
// <stream>_<durable>_DLQ with the subjects <its name>.>, on file, with the
// replicas of the source's stream, without any limit on age, refusing new letters
// rather than deleting old ones when it is full. It is created if it is missing.
//
// One that would lose letters is refused with the command that mends it. If it
// cannot be created the error names the permission, `flushline setup` and the
// option to write to files instead.
func DeadLetters(ctx context.Context, conn *Conn, cfg *Config, one Consumer) (*Sink, error) {
	name := deadLetterStream(one)
	p := &planner{conn: conn, cfg: cfg, streams: map[string]*streamInfo{}}
	if err := p.companion(ctx, one); err != nil {
		return nil, fmt.Errorf("couldn't verify the dead letter stream %s: %w", name, err)
	}
	step := &p.steps[0]
	if err := step.Apply(ctx); err != nil {
		if step.Action != queue.Create {
			return nil, err
		}
		return nil, fmt.Errorf("%w; allow this user to publish to %sSTREAM.CREATE.%s, or run as a user who may: flushline setup -c FILE, or keep letters in files: dead_letter: {file: DIR}",
			err, conn.prefix, name)
	}
	return newSink(ctx, conn, name, name+".")
}

// companion plans the dead letter stream of a consumer.
func (p *planner) companion(ctx context.Context, one Consumer) error {
	name := deadLetterStream(one)
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
		p.steps = append(p.steps, p.conn.createStream("companion", unlimited(name, []string{name + ".>"}, replicas)))
		return nil
	case err != nil:
		return err
	}
	p.existing(queue.Step{What: "companion", Name: name}, companionFindings(info, name, replicas), func(ctx context.Context, fs []queue.Finding) error {
		return p.conn.updateStream(ctx, info, fs)
	})
	return nil
}

// companionFindings is stricter than streamFindings: nobody chose to lose
// letters, and this stream is ours.
func companionFindings(s *streamInfo, name string, replicas int) []queue.Finding {
	c := &s.Config
	o := &object{name: "stream " + name, cli: "nats stream edit " + name}
	const gone = "letters nobody has read would be deleted"
	anew := fmt.Sprintf("nats stream backup %[1]s DIR, then nats stream rm %[1]s (it cannot be changed in place)", name)
	return o.check([]setting{
		{
			bad: !coveredByAny(c.Subjects, name+".>"), severity: queue.Error, field: "subjects", found: c.Subjects, wanted: name + ".>",
			why: "letters could not be stored", change: mergeSubjects(c.Subjects, []string{name + ".>"}),
		},
		{bad: c.MaxAge > 0, severity: queue.Error, field: "max_age", found: c.MaxAge, wanted: "0 (no limit)", why: gone, change: 0},
		{bad: c.Discard != jetstream.DiscardNew, severity: queue.Error, field: "discard", found: c.Discard, wanted: jetstream.DiscardNew, why: gone + " when it is full", change: jetstream.DiscardNew},
		{
			bad: c.MaxMsgsPerSubject > 0 && !c.DiscardNewPerSubject, severity: queue.Error, field: "max_msgs_per_subject", found: c.MaxMsgsPerSubject, wanted: -1,
			why: gone, change: -1,
		},
		{bad: c.AllowRollup, severity: queue.Error, field: "allow_rollup_hdrs", found: true, wanted: false, why: gone + " by one message with a Nats-Rollup header", change: false},
		{bad: c.NoAck, severity: queue.Error, field: "no_ack", found: true, wanted: false, why: "no letter would ever be confirmed, so nothing behind it acknowledged", change: false},
		{bad: c.Sealed, severity: queue.Error, field: "sealed", found: true, wanted: false, why: "it takes no letters", mend: anew},
		{bad: c.SubjectTransform != nil, severity: queue.Error, field: "subject_transform", found: transform(c.SubjectTransform), wanted: "none", why: "letters would not be found by their route and flusher"},
		{bad: c.Retention != jetstream.LimitsPolicy, severity: queue.Error, field: "retention", found: c.Retention, wanted: jetstream.LimitsPolicy, why: gone, mend: anew},
		{bad: c.Storage != jetstream.FileStorage, severity: queue.Error, field: "storage", found: c.Storage, wanted: jetstream.FileStorage, why: "a restart of the server would lose letters", mend: anew},
		{bad: c.AllowMsgTTL, severity: queue.Warning, field: "allow_msg_ttl", found: true, wanted: false, why: "other producers could make letters expire", mend: anew},
		{
			bad: c.Replicas < replicas, severity: queue.Warning, field: "num_replicas", found: c.Replicas, wanted: replicas,
			why: "letters survive less than the source's messages do", change: replicas,
		},
	})
}
