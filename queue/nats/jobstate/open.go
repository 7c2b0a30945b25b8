package jobstate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
)

// Bucket is where jobs are kept unless somebody says otherwise.
const Bucket = "flushline_jobs"

// Options of a State; the zero value is usable.
type Options struct {
	// Lease is how long a shard of a process that died stays held; all processes of a
	// job should agree on it. 10 seconds.
	Lease time.Duration

	// Like names the stream whose replicas the bucket gets when it is made; empty: one
	// replica.
	Like string
}

// valueSize is what a value takes at most with what we put in front of it and the
// headers of a put.
const valueSize = job.MaxValue + 4<<10

// Open keeps a job in a bucket, which is made if it is missing: on file, without an
// age limit. It does not own the connection. It is an error if the server's limits
// are too low or the bucket would lose what is kept in it.
func Open(ctx context.Context, conn *nats.Conn, bucket, name string, opt Options) (job.State, error) {
	if !job.NameRule.MatchString(name) {
		return nil, fmt.Errorf("%q is no name of a job: it has 1 to 48 letters, digits, - and _", name)
	}
	if most := conn.NATS().MaxPayload(); most < valueSize {
		return nil, fmt.Errorf("couldn't keep a job in nats: the server's max_payload is %d bytes, a job needs %d; raise it or use --state DIR", most, int64(valueSize))
	}
	if opt.Lease <= 0 {
		opt.Lease = 10 * time.Second
	}
	js, err := conn.JetStream()
	if err != nil {
		return nil, err
	}
	kv, err := openBucket(ctx, conn, js, bucket, opt.Like)
	if err != nil {
		return nil, fmt.Errorf("couldn't use the bucket %s for jobs: %w", bucket, err)
	}
	return &state{
		conn: conn, kv: kv, bucket: bucket, job: name, lease: opt.Lease,
		leases: map[*lease]bool{},
	}, nil
}

func openBucket(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, bucket, like string) (jetstream.KeyValue, error) {
	kv, err := js.KeyValue(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = createBucket(ctx, conn, js, bucket, like)
	}
	if err != nil {
		return nil, err
	}
	return kv, verify(ctx, kv, bucket)
}

func createBucket(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, bucket, like string) (jetstream.KeyValue, error) {
	replicas := 1
	if like != "" {
		var info jetstream.StreamInfo
		if err := conn.Ask(ctx, "STREAM.INFO."+like, nil, &info); err != nil {
			return nil, fmt.Errorf("couldn't read stream %s, whose replicas it gets: %w", like, err)
		}
		replicas = max(info.Config.Replicas, 1)
	}
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: bucket, Description: "replays and backfills of flushline", History: 1,
		Storage: jetstream.FileStorage, Replicas: replicas, MaxValueSize: valueSize,
	})
	if errors.Is(err, jetstream.ErrBucketExists) { // somebody was faster and made it otherwise
		return js.KeyValue(ctx, bucket)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; may this user publish to %sSTREAM.CREATE.%s? --state DIR keeps jobs in a directory", err, conn.APIPrefix(), streamName(bucket))
	}
	return kv, nil
}

// verify refuses a bucket that loses or refuses values.
func verify(ctx context.Context, kv jetstream.KeyValue, bucket string) error {
	status, err := kv.Status(ctx)
	if err != nil {
		return err
	}
	st, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return nil // another client library; puts fail then where this would have said why
	}
	c := st.StreamInfo().Config
	edit := "nats stream edit " + streamName(bucket)
	switch {
	case c.MaxAge > 0:
		return fmt.Errorf("its values expire after %v, and with them the place where a job goes on: %s --max-age 0", c.MaxAge, edit)
	case c.MaxMsgSize > 0 && c.MaxMsgSize < valueSize:
		return fmt.Errorf("its values may have %d bytes, a job needs %d: %s --max-msg-size %d", c.MaxMsgSize, int64(valueSize), edit, int64(valueSize))
	case c.Storage != jetstream.FileStorage && c.Replicas < 2:
		return errors.New("it is kept in memory by one server, and a restart would lose it: remove the bucket, it is made anew on file")
	}
	return nil
}

func streamName(bucket string) string { return "KV_" + bucket }

// ListJobs are the names of the jobs that have begun in a bucket, sorted; none if
// there is no such bucket.
func ListJobs(ctx context.Context, conn *nats.Conn, bucket string) ([]string, error) {
	js, err := conn.JetStream()
	if err != nil {
		return nil, err
	}
	kv, err := js.KeyValue(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't list the jobs of bucket %s: %w", bucket, err)
	}
	keys, err := kv.ListKeysFiltered(ctx, "*."+manifestKey)
	if err != nil {
		return nil, fmt.Errorf("couldn't list the jobs of bucket %s: %w", bucket, err)
	}
	var names []string
	for key := range keys.Keys() {
		names = append(names, strings.TrimSuffix(key, "."+manifestKey))
	}
	slices.Sort(names)
	return names, nil
}
