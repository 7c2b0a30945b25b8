//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// kafkaSuite is what is measured on an Apache Kafka.
func kafkaSuite(short bool) ([]benchCase, func(), error) {
	one, three := &kafkaServer{nodes: 1}, &kafkaServer{nodes: 3}
	n, rounds, watch := 1, 4, 20*time.Second
	if short {
		n, rounds, watch = 4, 2, 10*time.Second
	}
	var cases []benchCase
	for _, c := range []speedCase{
		{"1KB, 50 lanes", load{"SMALL50", 600_000 / n, 1000, 50, 12}, rounds, 0, 1500 * time.Nanosecond},
		{"50KB, 50 lanes", load{"LARGE50", 60_000 / n, 50_000, 50, 12}, rounds, 1.15, 0},
	} {
		cases = append(cases, benchCase{c.name, func() (bool, error) { return c.run(one) }})
	}
	cases = append(cases,
		forwarding(one, short),
		benchCase{"200 partitions", func() (bool, error) { return manyPartitions(one, watch) }},
		benchCase{"paused partitions", func() (bool, error) { return pausedPartitions(one, watch) }},
		benchCase{"busy beside idle", func() (bool, error) { return busyBesideIdle(one, 400_000/n, rounds) }},
		benchCase{"rebalance, a drain of 4 s", func() (bool, error) { return slowDrain(one) }},
		benchCase{"coordinator killed", func() (bool, error) { return coordinatorKilled(three) }},
	)
	return cases, func() { one.stop(); three.stop() }, nil
}

// manyPartitions consumes 200 partitions with one worker, then leaves it idle.
func manyPartitions(srv *kafkaServer, watch time.Duration) (bool, error) {
	const inFlight, work = 128 * mib, 32 * mib
	l := load{"MANY", 200 * 100, 20_000, 50, 200}
	f, err := srv.footprint(l, "many", watch, inFlight, work)
	if err != nil {
		return false, err
	}
	bound := int64(inFlight + work + 64*mib)
	return say("200 partitions", f.Peak < bound && f.CPU < 0.005 && f.Sockets < 4,
		fmt.Sprintf("RSS below %d MiB, idle below 5 ms/s, below 4 sockets a broker", bound/mib),
		"peak RSS %d MiB, idle %.2f ms/s, %d sockets", f.Peak/mib, f.CPU*1e3, f.Sockets)
}

// pausedPartitions lets a destination never be ready: what is held must stay within
// the windows, and the process within its bound.
func pausedPartitions(srv *kafkaServer, watch time.Duration) (bool, error) {
	const inFlight, work = 64 * mib, 16 * mib
	l := load{"PAUSED", 12 * 20_000, 1000, 50, 12}
	f, err := srv.footprint(l, "paused", watch, inFlight, work)
	if err != nil {
		return false, err
	}
	bound := int64(inFlight + work + 64*mib)
	return say("paused partitions", f.Peak <= bound && f.Held <= pausedWindow && f.Held > 0,
		fmt.Sprintf("RSS at most %d MiB, at most %d messages a partition", bound/mib, pausedWindow),
		"peak RSS %d MiB, at most %d messages held or buffered by a partition, %.2f ms/s", f.Peak/mib, f.Held, f.CPU*1e3)
}

// busyBesideIdle compares the speed of one full partition alone with the same
// beside eleven empty ones of the same leader.
func busyBesideIdle(srv *kafkaServer, messages, rounds int) (bool, error) {
	alone := load{"ALONE", messages, 1000, 50, 1}
	beside := load{"BESIDE", messages, 1000, 50, 12}
	for _, l := range []load{alone, beside} {
		if err := srv.topic(l.Stream, l.Partitions); err != nil {
			return false, err
		}
		if err := srv.fill(l, func(int) int32 { return 0 }); err != nil {
			return false, err
		}
	}
	var a, b []time.Duration
	for i := range rounds + 1 {
		for _, l := range []load{alone, beside} {
			u, err := consume(srv, "kafka-worker", l, i)
			if err != nil {
				return false, err
			}
			if l == alone {
				a = append(a, u.Flowing)
			} else {
				b = append(b, u.Flowing)
			}
		}
	}
	ratio := float64(middle(a)) / float64(middle(b))
	return say("busy beside idle", ratio >= 0.9, "at least 0.90", "speed beside eleven idle partitions / alone: %.2f (%d rounds)", ratio, rounds+1)
}

func middle(ds []time.Duration) time.Duration {
	us := make([]usage, len(ds))
	for i, d := range ds {
		us[i].CPU = d
	}
	return median(us).CPU
}

// slowDrain lets a third member join while the first needs four seconds to drain.
func slowDrain(srv *kafkaServer) (bool, error) {
	l := load{"DRAIN", 0, 500, 1, 12}
	if err := srv.topic(l.Stream, l.Partitions); err != nil {
		return false, err
	}
	own, err := srv.stalls(l, "own", 4*time.Second, 12*time.Second, nil)
	if err != nil {
		return false, err
	}
	rival, err := srv.stalls(l, "group", 4*time.Second, 12*time.Second, nil)
	if err != nil {
		return false, err
	}
	return say("rebalance, drain 4 s", own.Unmoved <= 250*time.Millisecond, "unmoved at most 250 ms",
		"longest stall: unmoved %v, moved %v; ConsumerGroup: unmoved %v, moved %v", own.Unmoved, own.Moved, rival.Unmoved, rival.Moved)
}

// coordinatorKilled kills the broker that coordinates the group; partitions that
// another broker leads must flow on.
func coordinatorKilled(srv *kafkaServer) (bool, error) {
	l := load{"COORD", 0, 500, 1, 12}
	if err := srv.topic(l.Stream, l.Partitions); err != nil {
		return false, err
	}
	var found []stalls
	for _, mode := range []string{"own", "group"} {
		s, err := srv.stalls(l, mode, 0, 20*time.Second, func(group string) ([]int32, func() error, error) {
			return srv.killCoordinator(group, l)
		})
		if err != nil {
			return false, err
		}
		found = append(found, s)
	}
	own, rival := found[0], found[1]
	return say("coordinator killed", own.Unmoved <= 500*time.Millisecond && own.Rebalances == 0 && own.Moved == 0,
		"leaders that live at most 500 ms, no rebalance",
		"longest stall where the leader lives %v, %d rebalances; ConsumerGroup: %v, %d rebalances",
		own.Unmoved, own.Rebalances, max(rival.Unmoved, rival.Moved), rival.Rebalances)
}

// stalls runs the members of a group in a process of their own while records
// trickle in. When they have settled, fault breaks something; it says which
// partitions not to judge, and how to mend what it broke.
func (s *kafkaServer) stalls(l load, mode string, drain, watch time.Duration, fault func(group string) ([]int32, func() error, error)) (stalls, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	produced := make(chan error, 1)
	go func() { produced <- s.trickle(ctx, l) }()
	defer func() {
		cancel()
		if err := <-produced; err != nil {
			fmt.Fprintln(os.Stderr, "the load ended early:", err)
		}
	}()
	text, err := l.json()
	if err != nil {
		return stalls{}, err
	}
	group := l.Stream + "-" + mode
	cmd := role("kafka-rebalance", map[string]string{
		"URL": s.address(), "LOAD": text, "DURABLE": group, "MODE": mode, "WATCH": watch.String(), "DRAIN": drain.String(),
	})
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return stalls{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return stalls{}, err
	}
	if err := cmd.Start(); err != nil {
		return stalls{}, err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || line != "settled\n" {
		return stalls{}, errors.Join(errors.New("the members did not settle"), err)
	}
	mend := func() error { return nil }
	var ignore []int32
	if fault != nil {
		if ignore, mend, err = fault(group); err != nil {
			return stalls{}, err
		}
	}
	if err := json.NewEncoder(in).Encode(ignore); err != nil {
		return stalls{}, err
	}
	var r stalls
	err = json.NewDecoder(lines).Decode(&r)
	return r, errors.Join(err, mend())
}

func (s *kafkaServer) footprint(l load, mode string, watch time.Duration, inFlight, work int64) (footprint, error) {
	if err := s.publish(l); err != nil {
		return footprint{}, err
	}
	text, err := l.json()
	if err != nil {
		return footprint{}, err
	}
	cmd := role("kafka-memory", map[string]string{
		"URL": s.address(), "LOAD": text, "DURABLE": l.Stream, "MODE": mode, "WATCH": watch.String(),
		"IN_FLIGHT": strconv.FormatInt(inFlight, 10), "WORK": strconv.FormatInt(work, 10),
	})
	cmd.Env = append(cmd.Env, "GOGC=400", "GOMEMLIMIT="+strconv.FormatInt(inFlight+work+64*mib, 10))
	var f footprint
	return f, output(cmd, &f)
}
