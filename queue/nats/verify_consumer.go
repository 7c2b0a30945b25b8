package nats

import (
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
)

// podWindow is how many messages a pod may hold; the default of limits.window.
const podWindow = 8192

// ackPending is how many messages the consumer hands out before it waits.
func (c *Config) ackPending() int {
	if c.Strict {
		return 1
	}
	return podWindow * c.MaxPods
}

// consumerFindings is the list of consumer settings that lose, repeat or stall.
func consumerFindings(info *consumerInfo, one Consumer, cfg *Config) []queue.Finding {
	c := &info.Config
	name := one.Stream + " " + one.Durable
	o := &object{name: "consumer " + one.Stream + "/" + one.Durable, cli: "nats consumer edit " + name}
	anew := "nats consumer rm " + name + ", then flushline setup -c FILE (it cannot be changed in place; what is not acknowledged and all that the stream still holds is delivered again)"
	settings := append(whatLoses(c, one, anew), whatRepeats(c, cfg, anew)...)
	return o.check(append(settings, whatStalls(c, name, cfg, anew)...))
}

func whatLoses(c *jetstream.ConsumerConfig, one Consumer, anew string) []setting {
	found := filters(c)
	return []setting{
		{
			bad: c.AckPolicy != jetstream.AckExplicitPolicy, severity: queue.Error, field: "ack_policy", found: c.AckPolicy, wanted: jetstream.AckExplicitPolicy,
			why: "one acknowledgement would cover messages that are not flushed", mend: anew,
		},
		{
			bad: c.MaxDeliver > 0, severity: queue.Error, field: "max_deliver", found: c.MaxDeliver, wanted: -1,
			why: "after so many deliveries the server passes over a message for ever and says nothing", change: -1,
		},
		{
			bad: c.HeadersOnly, severity: queue.Error, field: "headers_only", found: true, wanted: false,
			why: "values are not delivered", change: false,
		},
		{
			bad: len(one.Subjects) > 0 && !sameSet(found, one.Subjects), severity: queue.Error, field: "filter_subjects", found: found, wanted: one.Subjects,
			why: "subjects that the configuration names are not delivered, or others are", change: one.Subjects,
		},
		{
			bad: len(one.Subjects) == 0 && len(found) > 0, severity: queue.Warning, field: "filter_subjects", found: found, wanted: "none: the configuration names no subjects",
			why: "only these subjects are delivered; name them in subjects if that is meant", change: []string{},
		},
		{
			bad: slices.Contains([]jetstream.DeliverPolicy{jetstream.DeliverNewPolicy, jetstream.DeliverLastPolicy, jetstream.DeliverLastPerSubjectPolicy}, c.DeliverPolicy), severity: queue.Error,
			field: "deliver_policy", found: c.DeliverPolicy, wanted: jetstream.DeliverAllPolicy,
			why: "a consumer that is made anew with it passes over everything published until then", mend: anew,
		},
		{
			bad:      c.DeliverPolicy == jetstream.DeliverByStartSequencePolicy || c.DeliverPolicy == jetstream.DeliverByStartTimePolicy,
			severity: queue.Warning, field: "deliver_policy", found: c.DeliverPolicy, wanted: jetstream.DeliverAllPolicy,
			why: "messages before the start position are never delivered", mend: anew,
		},
	}
}

func whatRepeats(c *jetstream.ConsumerConfig, cfg *Config, anew string) []setting {
	return []setting{
		{
			bad: c.AckWait < max(MinAckWait, cfg.AckWait), severity: queue.Error, field: "ack_wait", found: c.AckWait, wanted: max(MinAckWait, cfg.AckWait),
			why: "held messages are delivered again before they are marked as in progress", change: max(MinAckWait, cfg.AckWait),
		},
		{
			bad: len(c.BackOff) > 0, severity: queue.Error, field: "backoff", found: fmt.Sprint(c.BackOff), wanted: "none",
			why: "it replaces ack_wait: messages whose Flush takes longer are delivered again and again", change: []time.Duration{},
		},
		{
			bad: c.InactiveThreshold > 0, severity: queue.Error, field: "inactive_threshold", found: c.InactiveThreshold, wanted: "0 (never)",
			why: "the server deletes the consumer and its position when all pods are away for so long", change: 0,
		},
		{
			bad: c.MemoryStorage, severity: queue.Warning, field: "mem_storage", found: true, wanted: false,
			why: "a restart of the server forgets what is acknowledged and delivers it all again", mend: anew,
		},
	}
}

func whatStalls(c *jetstream.ConsumerConfig, where string, cfg *Config, anew string) []setting {
	need := cfg.ackPending()
	paused := c.PauseUntil != nil && time.Now().Before(*c.PauseUntil)
	return []setting{
		{
			bad: c.DeliverSubject != "", severity: queue.Error, field: "deliver_subject", found: c.DeliverSubject, wanted: "none",
			why: "a push consumer cannot be paused and is not read by pull requests", mend: anew,
		},
		{
			bad: cfg.Strict && c.MaxAckPending != need, severity: queue.Error, field: "max_ack_pending", found: c.MaxAckPending, wanted: need,
			why: "order: strict of a route needs one message at a time: with more of them out, what is delivered again comes behind what is newer", change: need,
		},
		{
			bad: !cfg.Strict && c.MaxAckPending > 0 && c.MaxAckPending < cfg.MaxPods, severity: queue.Error, field: "max_ack_pending", found: c.MaxAckPending, wanted: need,
			why: "it is shared by all pods (max_pods): some would never get a message", change: need,
		},
		{
			bad: !cfg.Strict && c.MaxAckPending >= cfg.MaxPods && c.MaxAckPending < need, severity: queue.Warning, field: "max_ack_pending", found: c.MaxAckPending, wanted: need,
			why: fmt.Sprintf("it is shared by all pods (max_pods): each may hold %d messages instead of %d", c.MaxAckPending/cfg.MaxPods, podWindow), change: need,
		},
		{
			bad: c.MaxWaiting > 0 && c.MaxWaiting < 2*cfg.MaxPods, severity: queue.Error, field: "max_waiting", found: c.MaxWaiting, wanted: 512,
			why: "it is shared by all pods (max_pods), each with up to two pull requests: some would be refused", mend: anew,
		},
		{
			bad: c.MaxRequestBatch > 0, severity: queue.Warning, field: "max_batch", found: c.MaxRequestBatch, wanted: "0 (no limit)",
			why: "it is obeyed: many small pull requests, slower delivery", change: 0,
		},
		{
			bad: c.MaxRequestExpires >= time.Second, severity: queue.Warning, field: "max_expires", found: c.MaxRequestExpires, wanted: "0 (no limit)",
			why: "it is obeyed: pull requests are made again that often", change: 0,
		},
		{
			bad: c.MaxRequestExpires > 0 && c.MaxRequestExpires < time.Second, severity: queue.Error, field: "max_expires", found: c.MaxRequestExpires, wanted: "0 (no limit)",
			why: "so short a pull request cannot carry the heartbeats that tell a dead server from an empty stream", change: 0,
		},
		{
			bad: c.MaxRequestMaxBytes > 0, severity: queue.Warning, field: "max_bytes", found: c.MaxRequestMaxBytes, wanted: "0 (no limit)",
			why: "it is obeyed: small pull requests, and each larger message costs a refused one first", change: 0,
		},
		{
			bad: c.ReplayPolicy != jetstream.ReplayInstantPolicy, severity: queue.Error, field: "replay_policy", found: c.ReplayPolicy, wanted: jetstream.ReplayInstantPolicy,
			why: "messages come as slowly as they were published: a backlog is never caught up", mend: anew,
		},
		{
			bad: c.PriorityPolicy != jetstream.PriorityPolicyNone, severity: queue.Error, field: "priority_policy", found: priority(c.PriorityPolicy), wanted: "none",
			why: "pull requests without a group are refused, and pods would not share the work", mend: anew,
		},
		{
			bad: paused, severity: queue.Warning, field: "pause_until", found: pauseEnd(c.PauseUntil), wanted: "none",
			why: "nothing is delivered until then", mend: "nats consumer resume " + where,
		},
		{
			bad: c.RateLimit > 0, severity: queue.Warning, field: "rate_limit_bps", found: c.RateLimit, wanted: "0 (no limit)",
			why: "delivery is slowed down", change: 0,
		},
	}
}

func priority(p jetstream.PriorityPolicy) string {
	b, err := p.MarshalJSON()
	if err != nil {
		return fmt.Sprintf("policy %d", int(p))
	}
	return string(b)
}

func pauseEnd(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339)
}

func filters(c *jetstream.ConsumerConfig) []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return c.FilterSubjects
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}
