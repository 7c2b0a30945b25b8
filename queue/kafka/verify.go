package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// Severity says whether a finding stops a start.
type Severity int

// The severities.
const (
	Warning Severity = iota + 1 // somebody's choice that can lose or delay data; said, watched, obeyed
	Error                       // data would be lost or stall without anybody choosing it
)

func (s Severity) String() string { return [...]string{"", "warning", "error"}[s] }

// MarshalText makes a severity readable in JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is something about a broker, topic or group that loses or stalls data.
type Finding struct {
	Severity Severity
	Object   string // "topic logs", "group flushline", "broker 3 (k3:9092)"
	Field    string // as Kafka names it: "retention.ms"
	Found    string
	Wanted   string
	Why      string // what would be lost or stalled
	Mend     string // the command that mends it

	change string // the value setup writes; empty: setup does not touch it
}

func (f *Finding) String() string {
	return fmt.Sprintf("%s: %s is %s, want %s: %s; mend it with: %s", f.Object, f.Field, f.Found, f.Wanted, f.Why, f.Mend)
}

// Report is what Verify found.
type Report struct{ Findings []Finding }

// Err joins the findings that stop a start; nil if there are none.
func (r *Report) Err() error {
	var errs []error
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Severity == Error {
			errs = append(errs, errors.New(f.String()))
		}
	}
	return errors.Join(errs...)
}

// Warnings are the findings that do not stop a start.
func (r *Report) Warnings() []Finding {
	var w []Finding
	for _, f := range r.Findings {
		if f.Severity == Warning {
			w = append(w, f)
		}
	}
	return w
}

// MissingError says that a topic does not exist.
type MissingError struct {
	What string // "topic"
	Name string // "logs"
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s %s does not exist; create it with: flushline setup -c FILE", e.What, e.Name)
}

// mendBySetup is the command for what setup is ready to change.
const mendBySetup = "flushline setup --update -c FILE"

// Verify compares brokers, topics and group with what keeps data safe and
// flowing, and asks each of them for what a worker will ask, so that a missing
// right is found before the first message. maxMessage is limits.message in bytes;
// 0 compares nothing with it. A topic that is missing is a warning, because it may
// appear later. What this user may not read is not compared. Errors are about
// asking.
//
// It joins no group and moves no offset.
func Verify(ctx context.Context, client *wire.Client, cfg *Config, maxMessage int64) (Report, error) {
	names, err := sourceTopics(ctx, client, cfg)
	if err != nil {
		return Report{}, err
	}
	cluster, found, err := describe(ctx, client, names)
	if err != nil {
		return Report{}, err
	}
	v := &verifier{client: client, cfg: cfg, cluster: cluster, maxMessage: maxMessage}
	v.brokers(ctx)
	if slices.ContainsFunc(v.findings, func(f Finding) bool { return f.Severity == Error }) {
		return Report{v.findings}, nil // a broker that is too old answers nothing else
	}
	for _, name := range names {
		v.topic(ctx, name, found[name])
	}
	if len(names) == 0 {
		v.add(Finding{
			Severity: Warning, Object: "topics_regex " + cfg.TopicsRegex, Field: "topics", Found: "none", Wanted: "at least one",
			Why: "no topic that this user may see has such a name: nothing is read until one appears", Mend: "the pattern, or " + v.acl("Describe", "topic", "'*'"),
		})
	}
	settings := v.brokerSettings(ctx)
	v.offsetRetention(settings, names, found)
	if err := v.group(ctx, settings); err != nil {
		return Report{}, err
	}
	return Report{v.findings}, nil
}

// sourceTopics are the topics that cfg names, or those that match its pattern now.
func sourceTopics(ctx context.Context, client *wire.Client, cfg *Config) ([]string, error) {
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
		return nil, fmt.Errorf("couldn't ask which topics match topics_regex: %w", err)
	}
	var names []string
	for name, t := range cluster.Topics {
		if !t.Internal && !isCompanion(name) && pattern.MatchString(name) {
			names = append(names, name)
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
	findings   []Finding
}

func (v *verifier) add(f Finding) { v.findings = append(v.findings, f) }

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
	severity Severity
	field    string
	found    string
	wanted   string
	why      string
	change   string // what setup writes; empty: setup leaves it alone
	mend     string // when neither setup nor kafka-configs.sh does it
	to       string // with neither change nor mend: the value for kafka-configs.sh
}

// compare makes findings of the rows that are bad.
func compare(cfg *Config, topic string, rows []setting) []Finding {
	var found []Finding
	for _, s := range rows {
		if !s.bad {
			continue
		}
		f := Finding{
			Severity: s.severity, Object: "topic " + topic, Field: s.field, Found: s.found, Wanted: s.wanted,
			Why: s.why, Mend: s.mend, change: s.change,
		}
		switch {
		case f.Mend != "":
		case f.change != "":
			f.Mend = mendBySetup + ", or " + alterTopic(cfg, topic, s.field+"="+s.change)
		default:
			f.Mend = alterTopic(cfg, topic, s.field+"="+s.to)
		}
		found = append(found, f)
	}
	return found
}
