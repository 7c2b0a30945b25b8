package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// JobTopic is the name of the topic that keeps a job: <topic>.<group>.job.<job>.
func JobTopic(topic, group, name string) string { return topic + "." + group + ".job." + name }

// parseJobTopic takes the name of a job's topic apart: what stands before .job., and
// the job.
func parseJobTopic(topic string) (owner, name string, ok bool) {
	at := strings.LastIndex(topic, ".job.")
	if at < 0 {
		return "", "", false
	}
	owner, name = topic[:at], topic[at+len(".job."):]
	source, group, dotted := strings.Cut(owner, ".")
	return owner, name, dotted && source != "" && group != "" && job.NameRule.MatchString(name)
}

// JobTopics are the topics that keep jobs of the group of cfg beside any of its source
// topics, by the job's name. There is mostly one for each: two only if jobs of one name
// were begun when cfg named other topics first.
func JobTopics(ctx context.Context, client *wire.Client, cfg *Config) (map[string][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	ours := func(source string) bool { return slices.Contains(cfg.Topics, source) }
	if cfg.TopicsRegex != "" {
		pattern, err := cfg.pattern()
		if err != nil {
			return nil, err
		}
		ours = pattern.MatchString
	}
	cluster, err := client.Metadata(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("couldn't ask which topics keep jobs: %w", advised(err))
	}
	found := map[string][]string{}
	for topic := range cluster.Topics {
		owner, name, ok := parseJobTopic(topic)
		source, same := strings.CutSuffix(owner, "."+cfg.Group)
		if ok && same && ours(source) {
			found[name] = append(found[name], topic)
		}
	}
	for _, topics := range found {
		slices.Sort(topics)
	}
	return found, nil
}

// jobMessage is the largest message of a job's topic: a value, and what stands beside
// it.
const jobMessage = 4 * job.MaxValue

// EnsureJobTopic creates a job's topic, with so many partitions and as safe as a
// source topic, or verifies the one that is there. How many partitions that has is
// not compared.
func EnsureJobTopic(ctx context.Context, client *wire.Client, cfg *Config, source, name string, partitions int) error {
	for pause := newPause(); ; {
		found, err := VerifyJobTopic(ctx, client, cfg, name)
		if found > 0 || err != nil {
			return err
		}
		err = createJobTopic(ctx, client, source, name, partitions)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, kafkago.TopicAlreadyExists) && pauseFor(ctx, pause.NextBackOff()):
			continue // another process was faster: look at what it made
		}
		return fmt.Errorf("couldn't create topic %s, which keeps the job: %w; let this user make and write it (%s), or keep the job in a directory: --state DIR",
			name, advised(err), grant(cfg, "Create,Describe,DescribeConfigs,Read,Write,Delete", "topic", name))
	}
}

func createJobTopic(ctx context.Context, client *wire.Client, source, name string, partitions int) error {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	cluster, found, err := describe(ctx, client, []string{source})
	if err != nil {
		return err
	}
	d := found[source]
	if d == nil {
		return absent(cluster, source)
	}
	t := newTopic{partitions: partitions, replicas: d.replicas, settings: compactSoon()}
	t.settings[maxMessageBytes] = strconv.Itoa(jobMessage)
	if inSync, ok := d.number(minInSyncReplicas); ok {
		t.settings[minInSyncReplicas] = strconv.FormatInt(min(inSync, int64(d.replicas)), 10)
	}
	return createTopic(ctx, client, name, t)
}

// compactSoon are the settings of a topic that is always read from its beginning: what
// was replaced shall go soon.
func compactSoon() map[string]string {
	return map[string]string{
		cleanupPolicy: "compact", retentionTime: "-1", retentionBytes: "-1",
		"segment.bytes": strconv.Itoa(16 << 20), "min.cleanable.dirty.ratio": "0.1",
	}
}

// VerifyJobTopic looks whether a job's topic loses nothing, and how many partitions it
// has; 0: it does not exist.
func VerifyJobTopic(ctx context.Context, client *wire.Client, cfg *Config, name string) (partitions int, err error) {
	cluster, found, err := describe(ctx, client, []string{name})
	if err != nil {
		return 0, err
	}
	d := found[name]
	if d == nil {
		var missing *queue.MissingError
		if err := absent(cluster, name); !errors.As(err, &missing) {
			return 0, advised(err)
		}
		return 0, nil
	}
	step := queue.Step{What: "topic", Name: name}
	step.Mend(compare(cfg, name, jobRows(d)), false, nil)
	if err := step.Apply(ctx); err != nil {
		return 0, fmt.Errorf("couldn't keep a job there: %w", err)
	}
	return len(d.Partitions), nil
}

func jobRows(d *described) []setting {
	policy := d.settings[cleanupPolicy]
	limit, knowsLimit := d.limit()
	inSync, knowsInSync := d.number(minInSyncReplicas)
	return []setting{
		{
			bad: d.settings != nil && policy != "compact", severity: queue.Error, field: cleanupPolicy, found: policy, wanted: "compact",
			why: "the plan and the checkpoints of the job would be deleted by their age", to: "compact",
		},
		{
			bad: knowsLimit && limit < jobMessage, severity: queue.Error, field: maxMessageBytes, found: strconv.Itoa(limit), wanted: strconv.Itoa(jobMessage),
			why: "the pieces of a plan would not fit", to: strconv.Itoa(jobMessage),
		},
		{
			bad: knowsInSync && inSync > int64(d.replicas), severity: queue.Error, field: minInSyncReplicas, found: strconv.FormatInt(inSync, 10),
			wanted: fmt.Sprintf("at most the replication factor (%d)", d.replicas), why: "no checkpoint would ever be confirmed", to: strconv.Itoa(d.replicas),
		},
	}
}

// DeleteJobTopic deletes a job's topic and returns when it is gone.
func DeleteJobTopic(ctx context.Context, client *wire.Client, name string) error {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	addr, err := controller(ctx, client)
	if err != nil {
		return err
	}
	failed, err := client.DeleteTopics(ctx, addr, []string{name})
	if err == nil {
		err = failed[name]
	}
	if err != nil && !errors.Is(err, kafkago.UnknownTopicOrPartition) {
		return fmt.Errorf("couldn't delete topic %s: %w", name, advised(err))
	}
	return until(ctx, func() (bool, error) {
		cluster, err := client.Metadata(ctx, []string{name})
		if err != nil {
			return false, err
		}
		return len(cluster.Topics[name].Partitions) == 0, nil
	})
}
