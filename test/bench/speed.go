//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// speedCase compares the worker's CPU with the raw loop's on one load.
type speedCase struct {
	name   string
	load   load
	rounds int
	ratio  float64       // at most, of CPU; 0: not bounded
	extra  time.Duration // at most, of CPU a message; 0: not bounded
}

func speedCases(short bool) []speedCase {
	n, rounds := 1, 4
	if short {
		n, rounds = 4, 2
	}
	return []speedCase{
		{"1KB, 50 lanes", load{"SMALL50", 600_000 / n, 1000, 50, 0}, rounds, 0, 1500 * time.Nanosecond},
		{"1KB, 10,000 lanes", load{"SMALL10K", 600_000 / n, 1000, 10_000, 0}, rounds, 0, 2 * time.Microsecond},
		{"50KB, 50 lanes", load{"LARGE50", 20_000 / n, 50_000, 50, 0}, rounds, 1.15, 0},
	}
}

// usage is what one consumer process reports of itself.
type usage struct {
	Messages int
	CPU      time.Duration
	Wall     time.Duration
	GCs      uint32
	PeakRSS  int64 // KiB

	Flowing time.Duration // from the first message to the last, where the role can say
}

func (u usage) perMessage() time.Duration { return u.CPU / time.Duration(max(u.Messages, 1)) }

// target is a broker with loads, and the two roles that consume them.
type target interface {
	publish(load) error
	address() string
	roles() (raw, worker string)
}

func (s *benchServer) address() string             { return s.url }
func (s *benchServer) roles() (raw, worker string) { return "raw", "worker" }

func (c speedCase) run(srv target) (bool, error) {
	if err := srv.publish(c.load); err != nil {
		return false, err
	}
	var raw, worker []usage
	rawRole, workerRole := srv.roles()
	for i := range c.rounds {
		for _, who := range []string{rawRole, workerRole} {
			u, err := consume(srv, who, c.load, i)
			if err != nil {
				return false, err
			}
			if who == rawRole {
				raw = append(raw, u)
			} else {
				worker = append(worker, u)
			}
		}
	}
	r, w := median(raw), median(worker)
	ratio := float64(w.perMessage()) / float64(r.perMessage())
	extra := w.perMessage() - r.perMessage()
	kept := (c.ratio == 0 || ratio <= c.ratio) && (c.extra == 0 || extra <= c.extra)
	fmt.Printf("%-22s worker/raw %.2f, extra %+.2f us a message (raw %.2f us; %d rounds; GCs raw %d, worker %d; peak RSS raw %d MiB, worker %d MiB)%s\n",
		c.name, ratio, float64(extra)/1e3, float64(r.perMessage())/1e3, c.rounds, r.GCs, w.GCs, r.PeakRSS>>10, w.PeakRSS>>10, verdict(kept, c.bound()))
	return kept, nil
}

func (c speedCase) bound() string {
	if c.ratio != 0 {
		return fmt.Sprintf("at most %.2f", c.ratio)
	}
	return fmt.Sprintf("at most +%v a message", c.extra)
}

func verdict(kept bool, bound string) string {
	if kept {
		return "  ok: " + bound
	}
	return "  EXCEEDED: " + bound
}

func median(us []usage) usage {
	us = slices.Clone(us)
	slices.SortFunc(us, func(a, b usage) int { return int(a.CPU - b.CPU) })
	if n := len(us); n%2 == 0 {
		m := us[n/2-1]
		m.CPU = (m.CPU + us[n/2].CPU) / 2
		return m
	}
	return us[len(us)/2]
}

// consume runs one consumer process to the end of the load.
func consume(srv target, who string, l load, round int) (usage, error) {
	text, err := l.json()
	if err != nil {
		return usage{}, err
	}
	cmd := role(who, map[string]string{
		"URL": srv.address(), "LOAD": text, "DURABLE": fmt.Sprintf("%s-%s-%d", l.Stream, who, round),
	})
	cmd.Env = append(cmd.Env, "GOGC=400", "GOMEMLIMIT=384MiB")
	if *profiles != "" {
		cmd.Env = append(cmd.Env, "BENCH_PROFILE="+filepath.Join(*profiles, fmt.Sprintf("%s-%s-%d.prof", l.Stream, who, round)))
	}
	var u usage
	return u, output(cmd, &u)
}

// output runs a role and reads the JSON it prints last.
func output(cmd *exec.Cmd, v any) error {
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("couldn't run the process: %w", err)
	}
	return json.Unmarshal(out, v)
}
