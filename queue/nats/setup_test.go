package nats_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
)

func actions(steps []queue.Step) []string {
	out := make([]string, len(steps))
	for i := range steps {
		out[i] = fmt.Sprintf("%s %s %s", steps[i].Action, steps[i].What, steps[i].Name)
	}
	return out
}

func TestPlanChangesNothingAndSetupMakesEverything(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	cfg := b.config()
	conn := b.connect(cfg)
	o := nats.SetupOptions{DeadLetters: true}
	want := []string{"create stream LOGS", "create consumer LOGS/flushline", "create companion LOGS_flushline_DLQ"}
	for range 2 { // planning twice shows that it changed nothing
		steps, err := nats.Plan(t.Context(), conn, cfg, o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, actions(steps)); diff != "" {
			t.Errorf("plan (-want +got):\n%s", diff)
		}
		if text := steps[1].String(); !strings.Contains(text, "max_ack_pending: 81920") {
			t.Errorf("the consumer's step does not show its settings:\n%s", text)
		}
	}
	if _, err := nats.Setup(t.Context(), conn, cfg, o); err != nil {
		t.Fatal(err)
	}
	steps, err := nats.Setup(t.Context(), conn, cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ok stream LOGS", "ok consumer LOGS/flushline", "ok companion LOGS_flushline_DLQ"}, actions(steps)); diff != "" {
		t.Errorf("second setup (-want +got):\n%s", diff)
	}
	report, err := nats.Verify(t.Context(), conn, cfg.List()[0], cfg)
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("verify after setup: %v, %+v", err, report.Findings)
	}
}

func TestSeveralConsumersShareAStream(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	cfg := b.config()
	cfg.Stream, cfg.Durable, cfg.Subjects = "", "", nil
	cfg.Consumers = []nats.Consumer{
		{Stream: "LOGS", Durable: "a", Subjects: []string{"logs.a.>", "logs.c.x"}},
		{Stream: "LOGS", Durable: "b", Subjects: []string{"logs.b.>", "logs.c.*"}},
		{Stream: "AUDIT", Durable: "a", Subjects: []string{"audit.>"}},
	}
	conn := b.connect(cfg)
	b.setUp(conn, cfg)
	s, err := b.js(conn).Stream(t.Context(), "LOGS")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"logs.a.>", "logs.b.>", "logs.c.*"}, s.CachedInfo().Config.Subjects); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	for _, one := range cfg.List() {
		report, err := nats.Verify(t.Context(), conn, one, cfg)
		if err != nil || len(report.Findings) > 0 {
			t.Errorf("%v: %v, %+v", one, err, report.Findings)
		}
	}
}

func TestMissingThingsNameTheCommand(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	cfg := b.config()
	conn := b.connect(cfg)
	verify := func(want queue.MissingError) {
		t.Helper()
		_, err := nats.Verify(t.Context(), conn, cfg.List()[0], cfg)
		var missing *queue.MissingError
		if !errors.As(err, &missing) || *missing != want || !strings.Contains(err.Error(), "flushline setup -c FILE") {
			t.Errorf("got %v, want %+v and the command", err, want)
		}
	}
	verify(queue.MissingError{What: "stream", Name: "LOGS"})
	if _, err := b.js(conn).CreateStream(t.Context(), jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.>"}}); err != nil {
		t.Fatal(err)
	}
	verify(queue.MissingError{What: "consumer", Name: "LOGS/flushline"})
}

// Each row is a setting that loses, repeats or stalls: it must be found with its
// name, mended by setup --update where the server allows it, and refused with a
// command where it does not.
func TestConsumerSettingsAreVerified(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	cfg := b.config()
	conn := b.connect(cfg)
	b.setUp(conn, cfg)
	soon := time.Now().Add(time.Hour)
	type C = jetstream.ConsumerConfig
	tests := []struct {
		field    string
		severity queue.Severity
		mends    bool
		set      func(*C)
	}{
		{"ack_policy", queue.Error, false, func(c *C) { c.AckPolicy = jetstream.AckAllPolicy }},
		{"max_deliver", queue.Error, true, func(c *C) { c.MaxDeliver = 5 }},
		{"headers_only", queue.Error, true, func(c *C) { c.HeadersOnly = true }},
		{"filter_subjects", queue.Error, true, func(c *C) { c.FilterSubjects = nil }},
		{"filter_subjects", queue.Error, true, func(c *C) { c.FilterSubjects, c.FilterSubject = nil, "logs.shop.>" }},
		{"deliver_policy", queue.Error, false, func(c *C) { c.DeliverPolicy = jetstream.DeliverNewPolicy }},
		{"deliver_policy", queue.Warning, false, func(c *C) { c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, 1 }},
		{"ack_wait", queue.Error, true, func(c *C) { c.AckWait = 5 * time.Second }},
		{"ack_wait", queue.Error, true, func(c *C) { c.AckWait = 59 * time.Second }},
		{"backoff", queue.Error, true, func(c *C) { c.BackOff = []time.Duration{61 * time.Second, 62 * time.Second} }},
		{"inactive_threshold", queue.Error, true, func(c *C) { c.InactiveThreshold = time.Hour }},
		{"mem_storage", queue.Warning, false, func(c *C) { c.MemoryStorage = true }},
		{"max_ack_pending", queue.Error, true, func(c *C) { c.MaxAckPending = 5 }},
		{"max_ack_pending", queue.Warning, true, func(c *C) { c.MaxAckPending = 1000 }},
		{"max_waiting", queue.Error, false, func(c *C) { c.MaxWaiting = 3 }},
		{"max_batch", queue.Warning, true, func(c *C) { c.MaxRequestBatch = 10 }},
		{"max_expires", queue.Warning, true, func(c *C) { c.MaxRequestExpires = time.Second }},
		{"max_expires", queue.Error, true, func(c *C) { c.MaxRequestExpires = 100 * time.Millisecond }},
		{"max_bytes", queue.Warning, true, func(c *C) { c.MaxRequestMaxBytes = 1000 }},
		{"replay_policy", queue.Error, false, func(c *C) { c.ReplayPolicy = jetstream.ReplayOriginalPolicy }},
		{"priority_policy", queue.Error, false, func(c *C) { c.PriorityPolicy, c.PriorityGroups = jetstream.PriorityPolicyOverflow, []string{"g"} }},
		{"pause_until", queue.Warning, false, func(c *C) { c.PauseUntil = &soon }},
	}
	for i, tt := range tests {
		t.Run(fmt.Sprintf("%s %s", tt.field, tt.severity), func(t *testing.T) {
			mine := *cfg
			mine.Durable = fmt.Sprintf("d%d", i)
			c := C{
				Durable: mine.Durable, FilterSubjects: mine.Subjects, AckPolicy: jetstream.AckExplicitPolicy,
				AckWait: mine.AckWait, MaxDeliver: -1, MaxAckPending: 81920, Description: "kept",
			}
			tt.set(&c)
			if _, err := b.js(conn).CreateConsumer(t.Context(), "LOGS", c); err != nil {
				t.Fatal(err)
			}
			only(t, conn, &mine, tt.field, tt.severity)
			if steps, _ := nats.Setup(t.Context(), conn, &mine, nats.SetupOptions{}); (steps[1].Action == queue.OK) != (tt.severity == queue.Warning) {
				t.Errorf("without --update: %s", steps[1].String())
			}
			only(t, conn, &mine, tt.field, tt.severity)
			_, err := nats.Setup(t.Context(), conn, &mine, nats.SetupOptions{Update: true})
			if !tt.mends {
				if (err == nil) != (tt.severity == queue.Warning) || (err != nil && !strings.Contains(err.Error(), "nats consumer rm LOGS "+mine.Durable)) {
					t.Errorf("update of what cannot be updated: %v", err)
				}
				return
			}
			report, verr := nats.Verify(t.Context(), conn, mine.List()[0], &mine)
			if err != nil || verr != nil || len(report.Findings) > 0 {
				t.Errorf("after --update: %v, %v, %+v", err, verr, report.Findings)
			}
			got, err := b.js(conn).Consumer(t.Context(), "LOGS", mine.Durable)
			if err != nil || got.CachedInfo().Config.Description != "kept" {
				t.Errorf("the update did not keep the description: %v", err)
			}
		})
	}
}

func TestStreamSettingsAreVerified(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	cfg := b.config()
	conn := b.connect(cfg)
	type C = jetstream.StreamConfig
	tests := []struct {
		field    string
		severity queue.Severity
		mends    bool
		set      func(*C)
	}{
		{"storage", queue.Warning, false, func(c *C) { c.Storage = jetstream.MemoryStorage }},
		{"retention", queue.Warning, false, func(c *C) { c.Retention = jetstream.InterestPolicy }},
		{"retention", queue.Warning, false, func(c *C) { c.Retention = jetstream.WorkQueuePolicy }},
		{"max_age", queue.Warning, false, func(c *C) { c.MaxAge = time.Hour }},
		{"max_msgs", queue.Warning, false, func(c *C) { c.MaxMsgs = 1000 }},
		{"max_bytes", queue.Warning, false, func(c *C) { c.MaxBytes = 1 << 20 }},
		{"max_bytes", queue.Warning, false, func(c *C) { c.MaxBytes, c.Discard = 1<<20, jetstream.DiscardNew }},
		{"max_msgs_per_subject", queue.Warning, false, func(c *C) { c.MaxMsgsPerSubject = 1 }},
		{"allow_msg_ttl", queue.Warning, false, func(c *C) { c.AllowMsgTTL = true }},
		{"allow_rollup_hdrs", queue.Warning, false, func(c *C) { c.AllowRollup = true }},
		{"no_ack", queue.Warning, false, func(c *C) { c.NoAck = true }},
		{"subject_transform", queue.Warning, false, func(c *C) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: c.Subjects[0], Destination: "s." + c.Subjects[0]}
		}},
	}
	for i, tt := range tests {
		t.Run(fmt.Sprintf("%s %d", tt.field, i), func(t *testing.T) {
			mine := *cfg
			mine.Stream, mine.Subjects = fmt.Sprintf("S%d", i), nil
			c := C{Name: mine.Stream, Subjects: []string{fmt.Sprintf("s%d.>", i)}}
			tt.set(&c)
			if _, err := b.js(conn).CreateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if _, err := nats.Setup(t.Context(), conn, &mine, nats.SetupOptions{Update: true}); err != nil {
				t.Fatalf("setup must obey somebody's choice: %v", err)
			}
			only(t, conn, &mine, tt.field, tt.severity)
		})
	}
}

func TestAStreamThatDoesNotStoreTheFilterIsMended(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	cfg := b.config()
	conn := b.connect(cfg)
	b.setUp(conn, cfg)
	js := b.js(conn)
	if _, err := js.UpdateStream(t.Context(), jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.shop.*"}, Description: "kept", AllowDirect: true, Discard: jetstream.DiscardNew}); err != nil {
		t.Fatal(err)
	}
	only(t, conn, cfg, "subjects", queue.Error)
	if _, err := nats.Setup(t.Context(), conn, cfg, nats.SetupOptions{}); err == nil || !strings.Contains(err.Error(), "flushline setup --update") {
		t.Errorf("setup without --update: %v", err)
	}
	if _, err := nats.Setup(t.Context(), conn, cfg, nats.SetupOptions{Update: true}); err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "LOGS")
	if err != nil {
		t.Fatal(err)
	}
	if c := s.CachedInfo().Config; !slices.Equal(c.Subjects, []string{"logs.>"}) || c.Description != "kept" {
		t.Errorf("after the update: subjects %v, description %q", c.Subjects, c.Description)
	}
}

// only verifies and wants exactly one finding.
func only(t *testing.T, conn *nats.Conn, cfg *nats.Config, field string, severity queue.Severity) {
	t.Helper()
	report, err := nats.Verify(t.Context(), conn, cfg.List()[0], cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) != 1 || report.Findings[0].Field != field || report.Findings[0].Severity != severity {
		t.Fatalf("findings %+v, want one %s about %s", report.Findings, severity, field)
	}
	f := report.Findings[0]
	if f.Found == "" || f.Wanted == "" || f.Why == "" || f.Mend == "" || f.Found == f.Wanted {
		t.Errorf("incomplete finding: %+v", f)
	}
	if errs, warnings := report.Err(), report.Warnings(); (errs != nil) != (severity == queue.Error) || (len(warnings) == 1) != (severity == queue.Warning) {
		t.Errorf("err %v, warnings %v", errs, warnings)
	}
}

func TestDeadLetterStreamIsMadeAsTheSourceIs(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	cfg := b.config()
	conn := b.connect(cfg)
	sink, err := nats.DeadLetters(t.Context(), conn, cfg, cfg.List()[0])
	if err != nil {
		t.Fatal(err)
	}
	if sink.Describe() != "nats stream LOGS_flushline_DLQ" {
		t.Errorf("described as %q", sink.Describe())
	}
	s, err := b.js(conn).Stream(t.Context(), "LOGS_flushline_DLQ")
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	if c.Storage != jetstream.FileStorage || c.Discard != jetstream.DiscardNew || c.MaxAge != 0 || !c.AllowDirect || c.Retention != jetstream.LimitsPolicy || c.MaxBytes > 0 {
		t.Errorf("created as %+v", c)
	}
	if _, err := nats.DeadLetters(t.Context(), conn, cfg, cfg.List()[0]); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

func TestADeadLetterStreamThatLosesIsRefusedAndMended(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	cfg := b.config()
	conn := b.connect(cfg)
	type C = jetstream.StreamConfig
	for i, tt := range []struct {
		field string
		mends bool
		set   func(*C)
	}{
		{"max_age", true, func(c *C) { c.MaxAge = time.Hour }},
		{"discard", true, func(c *C) { c.Discard = jetstream.DiscardOld }},
		{"max_msgs_per_subject", true, func(c *C) { c.MaxMsgsPerSubject = 3 }},
		{"allow_rollup_hdrs", true, func(c *C) { c.AllowRollup = true }},
		{"no_ack", true, func(c *C) { c.NoAck = true }},
		{"subjects", true, func(c *C) { c.Subjects = []string{c.Name + ".a"} }},
		{"retention", false, func(c *C) { c.Retention = jetstream.WorkQueuePolicy }},
		{"storage", false, func(c *C) { c.Storage = jetstream.MemoryStorage }},
	} {
		t.Run(tt.field, func(t *testing.T) {
			mine := *cfg
			mine.Durable = fmt.Sprintf("d%d", i)
			name := "LOGS_" + mine.Durable + "_DLQ"
			c := C{Name: name, Subjects: []string{name + ".>"}, Discard: jetstream.DiscardNew, AllowDirect: true}
			tt.set(&c)
			if _, err := b.js(conn).CreateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			_, err := nats.DeadLetters(t.Context(), conn, &mine, mine.List()[0])
			if err == nil || !strings.Contains(err.Error(), tt.field) || !strings.Contains(err.Error(), "mend it with") {
				t.Fatalf("got %v, want a refusal that names %s and the command", err, tt.field)
			}
			_, err = nats.Setup(t.Context(), conn, &mine, nats.SetupOptions{Update: true, DeadLetters: true})
			if (err == nil) != tt.mends {
				t.Errorf("setup --update: %v", err)
			}
			if _, err := nats.DeadLetters(t.Context(), conn, &mine, mine.List()[0]); (err == nil) != tt.mends {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestWithoutThePermissionTheErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	b := startBroker(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.CREATE.>"}},
		}}}
	})
	cfg := b.config()
	cfg.User = "u"
	if err := cfg.Password.UnmarshalText([]byte("p")); err != nil {
		t.Fatal(err)
	}
	conn := b.connect(cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := nats.DeadLetters(ctx, conn, cfg, cfg.List()[0])
	if err == nil {
		t.Fatal("created without the permission")
	}
	for _, want := range []string{"$JS.API.STREAM.CREATE.LOGS_flushline_DLQ", "flushline setup", "dead_letter: {file: DIR}"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not name %s", err, want)
		}
	}
}
