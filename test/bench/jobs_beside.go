//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// liveQueue is a queue with a live deployment.
type liveQueue interface {
	publish(load) error
	live(load) (liveSide, error)
}

// liveSide is what a case needs of it.
type liveSide struct {
	source string // of the configuration file
	lag    func() (int64, error)
	send   func() (one func() error, flush func() error, err error)
	close  func()
}

const besideKeeps = 0.95 // of what it takes alone

// beside lets the real program replay what is old as fast as it can, again and again,
// while another of its processes is live and has half of the load that it can take.
func (j *jobsBench) beside(name string, srv liveQueue, l load, lasts time.Duration) (bool, error) {
	if err := srv.publish(l); err != nil {
		return false, err
	}
	side, err := srv.live(l)
	if err != nil {
		return false, err
	}
	defer side.close()
	b := &besideRun{liveSide: side, dir: j.dir, lasts: lasts}
	if err := b.configure(l); err != nil {
		return false, err
	}
	live, err := b.start("run", "-c", b.config)
	if err != nil {
		return false, err
	}
	defer func() { _ = end(live) }() // its work is judged by the queue
	most, err := b.catchesUp()
	if err != nil {
		return false, err
	}
	b.rate = most // more than it can take while somebody publishes on the same machine
	flood, err := b.offer()
	if err != nil {
		return false, err
	}
	most = min(most, flood.took)
	b.rate = most / 2
	alone, err := b.offer()
	if err != nil {
		return false, err
	}
	stop := make(chan struct{})
	replayed := make(chan error, 1)
	go func() { replayed <- b.replays(stop) }()
	beside, err := b.offer()
	close(stop)
	if err := errors.Join(err, <-replayed); err != nil {
		return false, err
	}
	ratio := beside.took / alone.took
	return say(name, ratio >= besideKeeps, fmt.Sprintf("at least %.2f", besideKeeps),
		"beside/alone %.2f (it can take %.0f messages a second; offered %.0f, took %.0f alone, lag at most %d; offered %.0f, took %.0f beside %d jobs, lag at most %d; %v each)",
		ratio, most, alone.offered, alone.took, alone.lag, beside.offered, beside.took, b.jobs, beside.lag, lasts)
}

type besideRun struct {
	liveSide
	dir, bin, config string
	lasts            time.Duration
	rate             float64
	jobs             int
}

// configure builds the program and makes what the live worker needs in the queue.
func (b *besideRun) configure(l load) (err error) {
	if b.bin, err = program(b.dir); err != nil {
		return err
	}
	b.config = filepath.Join(b.dir, l.Stream+".yaml")
	text := "source:\n  " + b.source + "\nroutes:\n  - name: all\n    flushers:\n      - {type: blackhole}\nadmin: {listen: 127.0.0.1:0}\nmetrics: {listen: 127.0.0.1:0}\n"
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		return err
	}
	if out, err := exec.Command(b.bin, "setup", "-c", b.config).CombinedOutput(); err != nil {
		return fmt.Errorf("setup: %w\n%s", err, out)
	}
	return nil
}

func (b *besideRun) start(args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(b.bin, args...)
	return cmd, cmd.Start()
}

// end is a clean stop.
func end(cmd *exec.Cmd) error {
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	return stopped(cmd.Wait())
}

// stopped is the end of a process that was told to; that of a job is 75.
func stopped(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 75 {
		return nil
	}
	return err
}

// catchesUp is how many messages a second the worker takes that has much to do.
func (b *besideRun) catchesUp() (float64, error) {
	all, err := b.lag()
	if err != nil {
		return 0, err
	}
	var began time.Time // when less was to be done than all
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		n, err := b.lag()
		switch {
		case err != nil:
			return 0, err
		case n == 0:
			return float64(all) / time.Since(began).Seconds(), nil
		case n < all && began.IsZero():
			all, began = n, time.Now()
		}
	}
	return 0, errors.New("the live worker did not catch up within two minutes")
}

// offering is what was seen while messages were offered.
type offering struct {
	offered, took float64 // messages a second
	lag           int64   // at most
}

// offer publishes at the rate and looks at the lag.
func (b *besideRun) offer() (o offering, err error) {
	one, flush, err := b.send()
	if err != nil {
		return o, err
	}
	before, err := b.drained()
	if err != nil {
		return o, err
	}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				if n, err := b.lag(); err == nil { // else the looks before and after say it
					o.lag = max(o.lag, n)
				}
			}
		}
	})
	sent, began := 0, time.Now()
	for time.Since(began) < b.lasts && err == nil {
		for due := int(time.Since(began).Seconds() * b.rate); sent < due && err == nil; sent++ {
			err = one()
		}
		time.Sleep(time.Millisecond)
	}
	err = errors.Join(err, flush())
	lasted := time.Since(began).Seconds()
	close(stop)
	watching.Wait()
	after, wrong := b.lag()
	o.offered, o.took = float64(sent)/lasted, float64(int64(sent)-(after-before))/lasted
	return o, errors.Join(err, wrong)
}

// drained waits until the live worker has little to do.
func (b *besideRun) drained() (lag int64, err error) {
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if lag, err = b.lag(); err != nil || lag < int64(b.rate/100) {
			return lag, err
		}
	}
	return lag, fmt.Errorf("the live worker still has %d messages to do after two minutes", lag)
}

// replays runs one job after the other until it is stopped.
func (b *besideRun) replays(stop <-chan struct{}) error {
	for {
		cmd, err := b.start("replay", "-c", b.config, "--from", "earliest", "--to", "end", "--pause-when-lag-above", fmt.Sprint(int64(b.rate/2)))
		if err != nil {
			return err
		}
		b.jobs++
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("the replay ended with %w", err)
			}
		case <-stop:
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
			return stopped(<-ended)
		}
	}
}
