//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// The bounds of jobs.
const (
	leastOfLoop   = 0.80 // of the bare loop's speed
	leastOfRun    = 0.95 // of the speed of a worker that consumes the same
	mostOfAlone   = 0.60 // of the time that one shard alone takes, for two
	jobsInFlight  = 64 * mib
	jobsWork      = 16 * mib
	jobsAllowance = 64 * mib // beside both
)

// jobsSuite is what is measured of replay and backfill.
func jobsSuite(short bool) ([]benchCase, func(), error) {
	dir, err := os.MkdirTemp("", "flushline-bench")
	if err != nil {
		return nil, nil, err
	}
	j := &jobsBench{dir: dir, lines: 32 * lineFiles * 100, tiny: 1_000_000, rounds: 4, nats: &benchServer{}, kafka: &kafkaServer{nodes: 1}}
	small, large := load{"REPLAY", 600_000, 1000, 50, 12}, load{"REPLAYLARGE", 30_000, 50_000, 50, 12}
	if short {
		j.lines, j.tiny, j.rounds = j.lines/4, j.tiny/10, 2
		small.Messages, large.Messages = small.Messages/4, large.Messages/4
	}
	var cases []benchCase
	for _, side := range []struct {
		name   string
		target target
		roles  [2]string
	}{{"nats", j.nats, [2]string{"timed-worker", "jobs-nats"}}, {"kafka", j.kafka, [2]string{"kafka-worker", "jobs-kafka"}}} {
		for _, l := range []load{small, large} {
			name := fmt.Sprintf("replay %s %dKB", side.name, l.Bytes/1000)
			cases = append(cases, benchCase{name, func() (bool, error) { return j.replay(name, side.target, l, side.roles) }})
		}
	}
	lasts := 30 * time.Second
	if short {
		lasts = 10 * time.Second
	}
	live := load{"BESIDE", small.Messages, 1000, 50, 12}
	cases = append(cases,
		benchCase{"beside live nats", func() (bool, error) { return j.beside("beside live nats", j.nats, live, lasts) }},
		benchCase{"beside live kafka", func() (bool, error) { return j.beside("beside live kafka", j.kafka, live, lasts) }},
		benchCase{"backfill", j.backfill},
		benchCase{"two shards", j.shards},
		benchCase{"many files", j.manyFiles},
	)
	return cases, func() {
		j.nats.stop()
		j.kafka.stop()
		_ = os.RemoveAll(dir) // a temporary directory left over is nobody's loss
	}, nil
}

// jobsBench is what the cases share.
type jobsBench struct {
	dir    string
	lines  int // of JSON
	tiny   int // files of one line
	rounds int
	nats   *benchServer
	kafka  *kafkaServer

	tree string // of files with the lines, when they are written
}

// replay compares a worker that consumes with a job that reads the same range.
func (j *jobsBench) replay(name string, srv target, l load, roles [2]string) (bool, error) {
	if err := srv.publish(l); err != nil {
		return false, err
	}
	var used [2][]usage
	for i := range j.rounds {
		for k, who := range roles {
			u, err := consume(srv, who, l, i)
			if err != nil {
				return false, err
			}
			used[k] = append(used[k], u)
		}
	}
	return j.compare(name, "run", "replay", used, leastOfRun)
}

// compare judges by the time from the first Flush to the last.
func (j *jobsBench) compare(name, one, other string, used [2][]usage, least float64) (bool, error) {
	a, b := flowingOf(used[0]), flowingOf(used[1])
	ratio := float64(a) / float64(b)
	cpu := [2]usage{median(used[0]), median(used[1])}
	return say(name, ratio >= least, fmt.Sprintf("at least %.2f", least),
		"speed %s/%s %.2f (%s %v, %s %v; CPU %.2f us and %.2f us a message; %d rounds; peak RSS %d and %d MiB)",
		other, one, ratio, one, a.Round(time.Millisecond), other, b.Round(time.Millisecond),
		float64(cpu[0].perMessage())/1e3, float64(cpu[1].perMessage())/1e3, len(used[0]), cpu[0].PeakRSS>>10, cpu[1].PeakRSS>>10)
}

func flowingOf(us []usage) time.Duration {
	var all []time.Duration
	for i := range us {
		all = append(all, us[i].Flowing)
	}
	return middleOf(all)
}

// backfill compares a job that reads zstd files of JSON lines with a loop that only
// decompresses, parses and flushes.
func (j *jobsBench) backfill() (bool, error) {
	if err := j.writeLines(); err != nil {
		return false, err
	}
	var used [2][]usage
	for range j.rounds {
		for k, who := range []string{"jobs-loop", "jobs-files"} {
			u, err := j.files(who, nil)
			if err != nil {
				return false, err
			}
			used[k] = append(used[k], u)
		}
	}
	return j.compare("backfill", "loop", "job", used, leastOfLoop)
}

// files runs a role over the files with the lines.
func (j *jobsBench) files(who string, env map[string]string) (usage, error) {
	text, err := load{Stream: "FILES", Messages: j.lines}.json()
	if err != nil {
		return usage{}, err
	}
	all := map[string]string{"URL": j.tree, "LOAD": text, "DURABLE": "job"}
	for k, v := range env {
		all[k] = v
	}
	cmd := role(who, all)
	cmd.Env = append(cmd.Env, "GOGC=400", "GOMEMLIMIT=384MiB")
	if n := env["PROCS"]; n != "" {
		cmd.Env = append(cmd.Env, "GOMAXPROCS="+n)
	}
	if *profiles != "" {
		cmd.Env = append(cmd.Env, "BENCH_PROFILE="+filepath.Join(*profiles, who+env["INDEX"]+".prof"))
	}
	var u usage
	return u, output(cmd, &u)
}

// shards compares two shards in two processes with one alone; each process has one
// processor.
func (j *jobsBench) shards() (bool, error) {
	if err := j.writeLines(); err != nil {
		return false, err
	}
	var alone, both, work, share []time.Duration // of time, and of CPU
	for range j.rounds {
		u, err := j.files("jobs-files", map[string]string{"PROCS": "1"})
		if err != nil {
			return false, err
		}
		two, err := j.twoShards()
		if err != nil {
			return false, err
		}
		alone, work = append(alone, u.Wall), append(work, u.CPU)
		both, share = append(both, two.Wall), append(share, two.CPU)
	}
	ratio := float64(middleOf(both)) / float64(middleOf(alone))
	return say("two shards", ratio <= mostOfAlone, fmt.Sprintf("at most %.2f", mostOfAlone),
		"time of two/time of one %.2f (one %v, two %v; CPU of the busier one/of one %.2f; GOMAXPROCS=1 each; %d rounds)",
		ratio, middleOf(alone).Round(time.Millisecond), middleOf(both).Round(time.Millisecond), float64(middleOf(share))/float64(middleOf(work)), j.rounds)
}

// twoShards is the time of the slower one, and the CPU of the busier one.
func (j *jobsBench) twoShards() (usage, error) {
	type end struct {
		usage
		err error
	}
	ends := make(chan end, 2)
	for i := range 2 {
		go func() {
			u, err := j.files("jobs-files", map[string]string{"PROCS": "1", "INDEX": strconv.Itoa(i), "OF": "2"})
			ends <- end{u, err}
		}()
	}
	a, b := <-ends, <-ends
	return usage{Wall: max(a.Wall, b.Wall), CPU: max(a.CPU, b.CPU)}, errors.Join(a.err, b.err)
}
