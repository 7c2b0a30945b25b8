package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// Verify compares brokers, topics and group with what keeps data safe and
// flowing, and asks each of them for what a worker will ask, so that a missing
// right is found before the first message. maxMessage is limits.message in bytes;
// 0 compares nothing with it. A topic that is missing is a warning, because it may
// appear later. What this user may not read is not compared. Errors are about
// asking.
//
// It joins no group and moves no offset.
func Verify(ctx context.Context, client *wire.Client, cfg *Config, maxMessage int64) (queue.Report, error) {
	names, err := SourceTopics(ctx, client, cfg)
	if err != nil {
		return queue.Report{}, err
	}
	cluster, found, err := describe(ctx, client, names)
	if err != nil {
		return queue.Report{}, err
	}
	v := &verifier{client: client, cfg: cfg, cluster: cluster, maxMessage: maxMessage}
	v.brokers(ctx)
	if slices.ContainsFunc(v.findings, func(f queue.Finding) bool { return f.Severity == queue.Error }) {
		return queue.Report{Findings: v.findings}, nil // a broker that is too old answers nothing else
	}
	for _, name := range names {
		v.topic(ctx, name, found[name])
	}
	if len(names) == 0 {
		v.add(queue.Finding{
			Severity: queue.Warning, Object: "topics_regex " + cfg.TopicsRegex, Field: "topics", Found: "none", Wanted: "at least one",
			Why: "no topic that this user may see has such a name: nothing is read until one appears", Mend: "the pattern, or " + v.acl("Describe", "topic", "'*'"),
		})
	}
	settings := v.brokerSettings(ctx)
	v.offsetRetention(settings, names, found)
	if err := v.group(ctx, settings); err != nil {
		return queue.Report{}, err
	}
	return queue.Report{Findings: v.findings}, nil
}

// SourceTopics are the topics that cfg names, or those that match its pattern now.
func SourceTopics(ctx context.Context, client *wire.Client, cfg *Config) ([]string, error) {
	names, err := matching(ctx, client, cfg, func(name string, t wire.Topic, fits func(string) bool) (string, bool) {
		return name, !t.Internal && !isCompanion(name) && fits(name)
	})
	if err != nil {
		return nil, fmt.Errorf("couldn't ask which topics match topics_regex: %w", err)
	}
	return names, nil
}

// matching are the topics that cfg names; of a pattern what pick makes of those that there
// are, in order.
func matching(ctx context.Context, client *wire.Client, cfg *Config, pick func(name string, t wire.Topic, fits func(string) bool) (string, bool)) ([]string, error) {
	if cfg.TopicsRegex == "" {
		return cfg.Topics, nil
	}
	pattern, err := cfg.pattern()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	cluster, err := client.Metadata(ctx, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for name, t := range cluster.Topics {
		if topic, ok := pick(name, t, pattern.MatchString); ok {
			names = append(names, topic)
		}
	}
	slices.Sort(names)
	return names, nil
}

// verifier collects findings.
type verifier struct {
	client     *wire.Client
	cfg        *Config
	cluster    *wire.Cluster
	maxMessage int64
	findings   []queue.Finding
}

func (v *verifier) add(f queue.Finding) { v.findings = append(v.findings, f) }

// acl is the command that grants a right to our user.
func (v *verifier) acl(operation, resource, name string) string {
	return grant(v.cfg, operation, resource, name)
}

// grant is the command that lets the configured user do something. Several
// operations are separated by commas.
func grant(cfg *Config, operations, resource, name string) string {
	user := cfg.SASL.User
	if user == "" {
		user = "NAME" // of the client certificate, or ANONYMOUS
	}
	var b strings.Builder
	fmt.Fprintf(&b, "kafka-acls.sh --bootstrap-server %s --add --allow-principal User:%s", cfg.Brokers[0], user)
	for _, op := range strings.Split(operations, ",") {
		b.WriteString(" --operation " + op)
	}
	fmt.Fprintf(&b, " --%s %s", resource, name)
	return b.String()
}

// alterTopic is the command that changes settings of a topic: "name=value,...".
func alterTopic(cfg *Config, topic, settings string) string {
	return fmt.Sprintf("kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s", cfg.Brokers[0], topic, settings)
}

// setting is one comparison: a row of the tables in verify_topic.go and
// companion_check.go.
type setting struct {
	bad      bool
	severity queue.Severity
	field    string
	found    string
	wanted   string
	why      string
	change   string // what setup writes; empty: setup leaves it alone
	mend     string // when neither setup nor kafka-configs.sh does it
	to       string // with neither change nor mend: the value for kafka-configs.sh
}

// compare makes findings of the rows that are bad.
func compare(cfg *Config, topic string, rows []setting) []queue.Finding {
	var found []queue.Finding
	for _, s := range rows {
		if !s.bad {
			continue
		}
		f := queue.Finding{
			Severity: s.severity, Object: "topic " + topic, Field: s.field, Found: s.found, Wanted: s.wanted,
			Why: s.why, Mend: s.mend,
		}
		if s.change != "" {
			f.Change = s.change
		}
		switch {
		case f.Mend != "":
		case s.change != "":
			f.Mend = queue.MendBySetup + ", or " + alterTopic(cfg, topic, s.field+"="+s.change)
		default:
			f.Mend = alterTopic(cfg, topic, s.field+"="+s.to)
		}
		found = append(found, f)
	}
	return found
}
