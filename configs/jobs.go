package configs

import (
	"errors"
	"fmt"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/nats"
)

// Jobs is where replay and backfill keep what --job names. Nothing set: beside the
// source; a source of files has no such place.
type Jobs struct {
	Dir   string     `option:"dir" help:"A directory. Shards on several machines need one that they share and that has file locks." example:"/var/lib/flushline/jobs"`
	NATS  *JobsNATS  `option:"nats" help:"A key-value bucket of a NATS server with JetStream."`
	Kafka *JobsKafka `option:"kafka" help:"A compacted topic for each job, <topic>.<group>.job.<name>; written as source.kafka."`
}

// Validate finds more than one place.
func (j *Jobs) Validate() []option.Problem {
	set := 0
	for _, given := range []bool{j.Dir != "", j.NATS != nil, j.Kafka != nil} {
		if given {
			set++
		}
	}
	if set > 1 {
		return []option.Problem{option.Errorf("dir", "jobs are kept in one place: leave one of dir, nats and kafka")}
	}
	return nil
}

// JobsKafka is a cluster, and the names that topics of jobs begin with.
type JobsKafka struct{ kafka.Config }

// Defaults are those of the client.
func (j *JobsKafka) Defaults() { j.Config = kafka.DefaultConfig() }

// JobsNATS is a server and a bucket on it.
type JobsNATS struct {
	nats.Config
	Bucket string `option:"bucket" help:"The bucket; it is made if it is missing."`
}

// DefaultBucket is where jobs are kept on NATS.
const DefaultBucket = "flushline_jobs"

// Defaults are those of the client.
func (j *JobsNATS) Defaults() { j.Config, j.Bucket = nats.DefaultConfig(), DefaultBucket }

// Validate checks the connection: no stream is read here.
func (j *JobsNATS) Validate() error {
	if j.Stream != "" || j.Durable != "" || len(j.Subjects)+len(j.Consumers) > 0 {
		return errors.New("jobs.nats names a server and a bucket: leave stream, durable, subjects and consumers out")
	}
	c := j.Config
	c.Stream, c.Durable = DefaultBucket, DefaultBucket // not read
	if err := c.Validate(); err != nil {
		return fmt.Errorf("jobs.nats: %w", err)
	}
	return nil
}
