package flushertest

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// killLosesNothing has processes that end themselves with a kill as soon as the
// n-th Flush has returned nil and this is reported.
func killLosesNothing(b *bench) {
	for _, n := range []int{1, 2, 5} {
		batch := b.groups(n)
		report := b.delegate(&task{Play: "die after nil"}, batch, "GOMAXPROCS=1")
		if len(report) != n {
			b.Fatalf("the process reported %v, want %d times that Flush returned nil", report, n)
		}
		b.stored(fmt.Sprintf("after a kill right after %d times nil", n), true, batch...)
	}
}

// dieAfterNil flushes each group, reports each nil, and ends the process after the
// last. On one processor a goroutine that Flush left behind has had no turn.
func (c *child) dieAfterNil() error {
	samples, err := c.samples()
	if err != nil {
		return err
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	l, err := newLife(c, c.kind, c.Options, c.Key)
	if err != nil {
		return err
	}
	p := new(Process)
	if err := l.init(p, p); err != nil {
		return fmt.Errorf("couldn't run Init: %w", err)
	}
	for i, s := range samples {
		m, err := lay([]*sample{s})
		if err != nil {
			return err
		}
		last := i == len(samples)-1
		if err := c.dieAfter(l, m, last, self); err != nil {
			return err
		}
	}
	return fmt.Errorf("the process lives %s after its kill", childLimit)
}

func (c *child) dieAfter(l *life, m *memory, last bool, self *os.Process) error {
	l.after = func(err error) {
		if err != nil {
			return
		}
		c.say("nil", strconv.Itoa(len(m.ids)))
		if last {
			_ = self.Kill()
			time.Sleep(childLimit) // nothing more happens here
		}
	}
	broken, err := l.flush(m, attempt{})
	if broken != nil {
		return broken
	}
	return err
}
