package flushertest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

// leakPatience is how long what ends by itself after Stop may take to end.
const leakPatience = 10 * time.Second

func stopLeavesNothing(b *bench) {
	b.leaks("after Stop", b.delegate(&task{Play: "live twice"}, b.groups(6)))
}

func failedInitLeavesNothing(b *bench) {
	b.leaks("after a failed Init", b.delegate(&task{Play: "fail Init"}, nil))
	for _, over := range b.to.InitFails {
		report := b.delegate(&task{Play: "fail Init", Options: b.options(over), MustFail: true}, nil)
		b.leaks(fmt.Sprintf("after Init failed with %v", over), report)
	}
	if b.Failed() || b.to.Break == nil || b.to.Heal == nil {
		return
	}
	b.to.Break()
	b.leaks("after Init while the destination is broken", b.delegate(&task{Play: "fail Init"}, nil))
	b.to.Heal()
	s := b.group(1)
	if dead := b.deliver(b.begin(), s); len(dead) == 0 {
		b.nowStored("after Init had failed before", false, s)
	}
}

func (b *bench) leaks(when string, report []line) {
	b.Helper()
	for _, l := range report {
		if l.word == "left" {
			b.Errorf("%s there is still %s", when, l.text)
		}
	}
}

// liveTwice lets one instance warm up what a process opens once, and looks for
// what the second leaves.
func (c *child) liveTwice() error {
	samples, err := c.samples()
	if err != nil {
		return err
	}
	half := len(samples) / 2
	first, err := c.live(samples[:half])
	if err != nil {
		return err
	}
	for end := time.Now().Add(leakPatience); len(goroutines(first.label)) > 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond) // its connections still end
	}
	before := descriptors()
	l, err := c.live(samples[half:])
	if err != nil {
		return err
	}
	c.sayWhatIsLeft(l, before)
	c.say("done", "")
	return nil
}

func (c *child) live(samples []*sample) (*life, error) {
	l, err := newLife(c, c.kind, c.Options, c.Key)
	if err != nil {
		return nil, err
	}
	p := new(Process)
	if err := l.init(p, p); err != nil {
		return nil, fmt.Errorf("couldn't run Init: %w", err)
	}
	for _, s := range samples {
		m, err := lay([]*sample{s})
		if err != nil {
			return nil, err
		}
		broken, err := l.flush(m, attempt{})
		if broken != nil {
			return nil, broken
		}
		if err != nil {
			return nil, fmt.Errorf("couldn't flush: %w", err)
		}
	}
	l.setUrgent(true)
	if err := errors.Join(l.tryStop()); err != nil {
		return nil, fmt.Errorf("couldn't stop: %w", err)
	}
	l.cancel()
	return l, nil
}

// failInit makes Init fail in the ways that a process has: what is shared cannot
// be opened, and the runtime context has ended. Where it succeeds, Stop follows.
func (c *child) failInit() error {
	before := descriptors()
	for _, way := range []string{"nothing", "shared", "ended"} {
		l, err := newLife(c, c.kind, c.Options, c.Key)
		if err != nil {
			if c.MustFail { // refused before Init
				break
			}
			return err
		}
		p := new(Process)
		shared := &returned{in: p}
		switch way {
		case "shared":
			shared.fail = errNotShared
		case "ended":
			l.cancel()
		}
		err = l.init(p, shared)
		l.cancel()
		if err == nil {
			if c.MustFail {
				return fmt.Errorf("the Init succeeds with options of Target.InitFails")
			}
			if err := errors.Join(l.tryStop()); err != nil {
				return fmt.Errorf("couldn't stop: %w", err)
			}
		}
		shared.giveBack()
		if c.sayWhatIsLeft(l, before) {
			break
		}
	}
	c.say("done", "")
	return nil
}

// sayWhatIsLeft waits for what an instance opened to end, and says what does not.
func (c *child) sayWhatIsLeft(l *life, before map[string]string) bool {
	var left []string
	for end := time.Now().Add(leakPatience); ; time.Sleep(20 * time.Millisecond) {
		left = append(goroutines(l.label), opened(before)...)
		if len(left) == 0 || time.Now().After(end) {
			break
		}
	}
	for _, what := range left {
		c.say("left", what)
	}
	return len(left) > 0
}

// goroutines are those that calls into one instance started, each in one line.
func goroutines(label string) []string {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return []string{"no list of goroutines: " + err.Error()}
	}
	var out []string
	for block := range strings.SplitSeq(b.String(), "\n\n") {
		if !strings.Contains(block, label) {
			continue
		}
		var where []string
		for l := range strings.Lines(block) {
			if f := strings.Fields(l); len(f) > 3 && f[0] == "#" && f[1] != "labels:" {
				where = append(where, strings.TrimSpace(f[2]))
			}
		}
		out = append(out, "a goroutine in "+strings.Join(where, " < "))
	}
	return out
}

// descriptors are those of this process, by number. There is no such list outside
// of Linux.
func descriptors() map[string]string {
	const dir = "/proc/self/fd"
	if runtime.GOOS != "linux" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			out[e.Name()] = to
		}
	}
	return out
}

func opened(before map[string]string) []string {
	var out []string
	for n, to := range descriptors() {
		switch {
		case before[n] == to, strings.HasPrefix(to, "anon_inode:"), strings.HasPrefix(to, "/proc/"):
		case strings.HasPrefix(to, "socket:"):
			out = append(out, "a connection, descriptor "+n)
		default:
			out = append(out, "an open file, "+to)
		}
	}
	return out
}
