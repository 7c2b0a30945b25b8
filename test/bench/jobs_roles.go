//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue/file/logfile"
	"github.com/flushline/flushline/queue/job"
	kafkaqueue "github.com/flushline/flushline/queue/kafka"
	kafkahistory "github.com/flushline/flushline/queue/kafka/history"
	natsqueue "github.com/flushline/flushline/queue/nats"
	natshistory "github.com/flushline/flushline/queue/nats/history"
	"github.com/flushline/flushline/worker"
)

// runJob is a job as `flushline replay` and `flushline backfill` run it, kept in a
// directory, with the sink that the rival has.
func runJob(plan *job.Plan, input job.Input, change func(*worker.Config)) error {
	index, of, err := shard()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "flushline-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary directory left over is nobody's loss
	state, err := job.OpenDir(dir, "bench")
	if err != nil {
		return err
	}
	defer func() { _ = state.Close() }() // each value is kept already
	ctx := context.Background()
	pieces, sizes := job.Pieces(plan.Slices, of)
	m := &job.Manifest{Version: job.ManifestVersion, Job: "bench", Created: time.Now(), Kind: plan.Kind, Range: plan.Range}
	err = state.Publish(ctx, pieces, func(n int) ([]byte, error) {
		m.Pieces, m.Shards = n, sizes()
		return json.Marshal(m)
	})
	if err != nil {
		return err
	}
	lease, err := state.Claim(ctx, index)
	if err != nil {
		return err
	}
	src, err := job.New(job.Config{
		Name: "bench", Manifest: m, Input: input, Shard: index, Lease: lease, Log: zap.NewNop(),
		Slices: func(ctx context.Context) job.Slices { return job.SlicesOf(ctx, state, m) },
	})
	if err != nil {
		return err
	}
	w, err := newWorker(timed(), change)
	if err != nil {
		return err
	}
	if err := w.Run(ctx, src); err != nil {
		return err
	}
	if r := src.Report(); !r.Finished || len(r.Missing()) > 0 {
		return fmt.Errorf("the job reports %+v", r)
	}
	return lease.Release(ctx)
}

func shard() (index, of int, err error) {
	if os.Getenv("BENCH_OF") == "" {
		return 0, 1, nil
	}
	index, err = strconv.Atoi(os.Getenv("BENCH_INDEX"))
	of, wrong := strconv.Atoi(os.Getenv("BENCH_OF"))
	return index, of, errors.Join(err, wrong)
}

// ends are the bounds of all that a queue has.
func ends() (from, to job.Bound, err error) {
	from, err = job.ParseBound("earliest", time.Now())
	if err != nil {
		return from, to, err
	}
	to, err = job.ParseBound("end", time.Now())
	return from, to, err
}

func runJobNATS(env benchEnv) error {
	ctx := context.Background()
	conn, err := natsqueue.Connect(ctx, env.config(), zap.NewNop())
	if err != nil {
		return err
	}
	defer conn.Close()
	from, to, err := ends()
	if err != nil {
		return err
	}
	plan, err := natshistory.PlanRange(ctx, conn, env.config(), from, to, 1)
	if err != nil {
		return err
	}
	return runJob(plan, natshistory.NewInput(conn, env.config(), natshistory.Options{}), nil)
}

func runJobKafka(env benchEnv) error {
	client, err := kafkaqueue.Connect(env.kafkaConfig())
	if err != nil {
		return err
	}
	defer client.Close()
	from, to, err := ends()
	if err != nil {
		return err
	}
	plan, err := kafkahistory.PlanRange(context.Background(), client, env.kafkaConfig(), from, to, 1)
	if err != nil {
		return err
	}
	return runJob(plan, kafkahistory.New(client, env.kafkaConfig(), kafkahistory.Options{Log: zap.NewNop()}), nil)
}

func runJobFiles(env benchEnv) error {
	cfg := logfile.DefaultConfig()
	_, of, err := shard()
	if err != nil {
		return err
	}
	plan, err := logfile.Find(context.Background(), &cfg, []string{env.url}, of)
	if err != nil {
		return err
	}
	input, err := logfile.New(&cfg, 0)
	if err != nil {
		return err
	}
	return runJob(plan, input, func(c *worker.Config) {
		c.Payload.Key = []worker.KeyRule{{From: worker.KeyConstant, Parts: protocol.Key{Project: "bench", Logstore: "store", Config: "c"}}}
	})
}

// runLoop is the rival of a backfill: decompress, parse, decode, flush.
func runLoop(env benchEnv) error {
	out := timed().New()
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer z.Close()
	l := loop{zstd: z}
	err = filepath.WalkDir(env.url, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return l.file(path, out)
	})
	if err == nil && l.logs != env.load.Messages {
		return fmt.Errorf("%d logs, want %d", l.logs, env.load.Messages)
	}
	return err
}

// loop is what the bare loop uses again and again.
type loop struct {
	block  [256 << 10]byte
	groups []protocol.Group
	slabs  protocol.Slabs
	lim    protocol.Limits
	batch  []*protocol.LogGroup
	logs   int
	zstd   *zstd.Decoder
}

func (l *loop) file(path string, out flushers.Flusher) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := l.zstd.Reset(f); err != nil {
		return err
	}
	held := 0 // bytes in block
	for {
		n, err := io.ReadFull(l.zstd, l.block[held:])
		held += n
		whole := bytes.LastIndexByte(l.block[:held], '\n') + 1
		if e := l.flush(l.block[:whole], out); e != nil {
			return e
		}
		held = copy(l.block[:], l.block[whole:held])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (l *loop) flush(lines []byte, out flushers.Flusher) error {
	_, groups, err := protocol.Scan(lines, protocol.FormatJSON, protocol.EncodingNone, &l.lim, l.groups[:0])
	if err != nil {
		return err
	}
	l.groups, l.batch = groups, l.batch[:0]
	l.slabs.Reset()
	for i := range groups {
		g := l.slabs.Decode(&groups[i])
		l.logs += len(g.Logs)
		l.batch = append(l.batch, g)
	}
	return out.Flush("bench", "store", "c", l.batch)
}
