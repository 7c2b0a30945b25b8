package group

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

func TestMembersShareAndLeave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 12)
		a := c.start(c.config(""))
		settle(t, time.Second, 12, a)
		b := c.start(c.config(""))
		settle(t, 2*time.Second, 6, a, b)
		d := c.start(c.config(""))
		settle(t, 2*time.Second, 4, a, b, d)
		if err := d.halt(); err != nil {
			t.Error(err)
		}
		settle(t, 2*time.Second, 6, a, b)
		if s := a.Status(); !s.Joined || s.Err != nil || s.Leases != 6 || s.Coordinator == "" || s.Rebalances < 3 || s.Doubtful || time.Since(s.Confirmed) > time.Second {
			t.Errorf("%+v", s)
		}
		if err := b.halt(); err != nil {
			t.Error(err)
		}
		settle(t, 2*time.Second, 12, a)
		if err := a.halt(); err != nil {
			t.Error(err)
		}
		c.with(func(b *broker) {
			if len(b.members)+len(b.pending) != 0 {
				t.Errorf("%d members stay", len(b.members)+len(b.pending))
			}
		})
		if n := a.ends()[queue.Lost] + b.ends()[queue.Lost] + d.ends()[queue.Lost]; n > 0 {
			t.Errorf("%d leases were lost", n)
		}
	})
}

// While one member drains for seconds, what does not move goes on, and what is
// free is handed over at once.
func TestASlowDrainHoldsBackItsPartitionOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 12)
		a := c.start(c.config(""))
		settle(t, time.Second, 12, a)
		a.mu.Lock()
		a.drain = 4 * time.Second
		a.mu.Unlock()
		kept := map[*Lease]bool{}
		b := c.start(c.config(""))
		until(t, 2*time.Second, "six partitions drain", func() bool { return a.Status().Draining == 6 })
		a.mu.Lock()
		for l, end := range a.leases {
			if end == nil && !a.isDraining(l) {
				kept[l] = true
			}
		}
		a.drain = 0
		a.mu.Unlock()
		d := c.start(c.config("")) // moves two more, whose drains are quick
		took := settle(t, 3*time.Second, 4, a)
		until(t, 3*time.Second, "the quick ones have moved", func() bool { return len(b.serving())+len(d.serving()) == 2 })
		if a.Status().Draining != 6 || took > 2*time.Second {
			t.Errorf("%+v after %v: the quick drains waited for the slow ones", a.Status(), took)
		}
		settle(t, 5*time.Second, 4, a, b, d)
		a.mu.Lock()
		defer a.mu.Unlock()
		for l := range kept {
			if a.leases[l] != nil {
				delete(kept, l)
			}
		}
		if len(kept) != 4 {
			t.Errorf("%d leases went on all the time, want the 4 that stay", len(kept))
		}
	})
}

func TestALostCoordinatorEndsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 12)
		a, b := c.start(c.config("")), c.start(c.config(""))
		settle(t, 2*time.Second, 6, a, b)
		generation := a.Status().Generation
		l := a.any()
		for range 3 {
			c.with(func(b *broker) { b.down = true })
			c.setFault(func(string, string) error { return errCutOff })
			time.Sleep(10 * time.Second) // three sessions
			if s := a.Status(); s.Err == nil || s.Doubtful || l.Doubtful() || s.Coordinator != "" {
				t.Errorf("with no broker at all: %+v", s)
			}
			stored := make(chan []error)
			go func() { stored <- a.Commit(t.Context(), []Mark{{Lease: l, Offset: 42}}) }()
			time.Sleep(5 * time.Second)
			c.with(func(b *broker) { b.fail(true) })
			c.setFault(nil)
			if errs := <-stored; errs != nil {
				t.Errorf("a commit that waited: %v", errs)
			}
		}
		until(t, 5*time.Second, "the member is well again", func() bool { return a.Status().Err == nil && b.Status().Err == nil })
		if a.ends()[queue.Lost]+a.ends()[queue.Revoked]+b.ends()[queue.Lost]+b.ends()[queue.Revoked] > 0 || a.Status().Generation != generation {
			t.Errorf("leases ended %v %v, generation %d -> %d", a.ends(), b.ends(), generation, a.Status().Generation)
		}
	})
}

// any is a lease that the pod serves.
func (p *pod) any() *Lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l, end := range p.leases {
		if end == nil && !p.isDraining(l) {
			return l
		}
	}
	p.c.t.Fatal("nothing is served")
	return nil
}

func TestAForgottenMemberLosesAllAndComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 4)
		a := c.start(c.config(""))
		settle(t, time.Second, 4, a)
		id, l := a.Status().Member, a.any()
		c.with(func(b *broker) { b.remove(b.members[id]) })
		<-l.Lost()
		if !l.Doubtful() {
			t.Error("a lost lease is not doubtful")
		}
		if errs := a.Commit(t.Context(), []Mark{{Lease: l, Offset: 1}}); errs == nil || !errors.Is(errs[0], ErrNotOwned) {
			t.Errorf("a commit under a lost lease: %v", errs)
		}
		settle(t, time.Second, 4, a)
		if s := a.Status(); s.Member == id || a.ends()[queue.Lost] != 4 {
			t.Errorf("%+v, ends %v", s, a.ends())
		}
	})
}

// A generation that went on without us takes the leases and not the id.
func TestAnOldGenerationKeepsTheID(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 4)
		a := c.start(c.config(""))
		settle(t, time.Second, 4, a)
		id := a.Status().Member
		c.with(func(b *broker) { b.generation += 5 })
		until(t, time.Second, "all is lost", func() bool { return a.ends()[queue.Lost] == 4 })
		settle(t, time.Second, 4, a)
		if got := a.Status().Member; got != id {
			t.Errorf("id %s became %s", id, got)
		}
	})
}

func TestTheOlderOfTwoInstancesEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 4)
		a := c.start(c.config("pod-1"))
		settle(t, time.Second, 4, a)
		c.with(func(*broker) { c.twice = true }) // until the older one beats
		b := c.start(c.config("pod-1"))
		<-a.ended
		if err := a.err; !errors.Is(err, kafka.FencedInstanceID) || !strings.Contains(err.Error(), `"pod-1"`) {
			t.Errorf("the older one ended with %v", err)
		}
		settle(t, 2*time.Second, 4, b)
		if a.ends()[queue.Lost] != 4 {
			t.Errorf("%v", a.ends())
		}
	})
}

func TestAStaticMemberRestartsUnnoticed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 12)
		a, b := c.start(c.config("pod-1")), c.start(c.config("pod-2"))
		settle(t, 2*time.Second, 6, a, b)
		had, generation := a.serving(), b.Status().Generation
		if err := a.halt(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		a = c.start(c.config("pod-1"))
		if took := settle(t, time.Second, 6, a); took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if diff := cmp.Diff(had, a.serving()); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
		time.Sleep(2 * time.Second)
		if s := b.Status(); s.Generation != generation || b.ends()[queue.Revoked] > 0 {
			t.Errorf("the other one noticed: generation %d -> %d, %v", generation, s.Generation, b.ends())
		}
		// One that leaves hands over.
		cfg := c.config("pod-3")
		cfg.LeaveOnStop = true
		d := c.start(cfg)
		settle(t, 2*time.Second, 4, a, b, d)
		if err := d.halt(); err != nil {
			t.Error(err)
		}
		settle(t, 2*time.Second, 6, a, b)
	})
}

// A static member that comes back finds partitions that were added meanwhile, and
// its topics if it wants others.
func TestAStaticMemberComesBackToAChangedWorld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 4)
		a := c.start(c.config("pod-1"))
		settle(t, time.Second, 4, a)
		if err := a.halt(); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		c.partitions["logs"] = append(c.partitions["logs"], 4)
		c.mu.Unlock()
		a = c.start(c.config("pod-1"))
		settle(t, time.Second, 5, a)
		a.Subscribe(nil)
		settle(t, time.Second, 0, a)
		a.Subscribe([]string{"logs", "others"})
		settle(t, time.Second, 5, a)
	})
}

func TestNewPartitionsCostOneRound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 6)
		a, b, d := c.start(c.config("")), c.start(c.config("")), c.start(c.config(""))
		settle(t, 2*time.Second, 2, a, b, d)
		time.Sleep(time.Second)
		rebalances := a.Status().Rebalances
		for _, p := range []*pod{a, b, d} { // nothing has changed
			p.PartitionsChanged()
		}
		time.Sleep(3 * time.Second)
		if n := a.Status().Rebalances - rebalances; n != 0 {
			t.Errorf("%d rounds for nothing", n)
		}
		c.mu.Lock()
		c.partitions["logs"] = append(c.partitions["logs"], 6, 7, 8)
		c.mu.Unlock()
		for i, p := range []*pod{a, b, d} {
			time.Sleep(time.Duration(i) * 200 * time.Millisecond)
			p.PartitionsChanged()
		}
		settle(t, 2*time.Second, 3, a, b, d)
		time.Sleep(3 * time.Second)
		if n := a.Status().Rebalances - rebalances; n != 1 {
			t.Errorf("%d rounds, want 1", n)
		}
	})
}

func TestWhatNoRetryMendsEndsTheStart(t *testing.T) {
	for _, code := range []kafka.Error{
		kafka.InconsistentGroupProtocol, kafka.GroupAuthorizationFailed, kafka.InvalidSessionTimeout,
		kafka.GroupMaxSizeReached, kafka.UnsupportedVersion, kafka.InvalidGroupId,
	} {
		t.Run(code.Title(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c.setFault(func(call, _ string) error {
					if call == "join" {
						return code
					}
					return nil
				})
				a := c.start(c.config(""))
				<-a.ended
				if err := a.err; !errors.Is(err, code) || !strings.HasPrefix(err.Error(), `couldn't join group "g": `) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// The same errors later are state: rights may come back.
func TestRightsLostLaterAreState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 4)
		a := c.start(c.config(""))
		settle(t, time.Second, 4, a)
		c.setFault(func(call, _ string) error {
			if call == "commit" {
				return nil
			}
			return kafka.GroupAuthorizationFailed
		})
		until(t, time.Second, "it shows", func() bool { return errors.Is(a.Status().Err, kafka.GroupAuthorizationFailed) })
		since := a.Status().Since
		time.Sleep(2 * time.Second)
		if s := a.Status(); !s.Since.Equal(since) || !s.Joined {
			t.Errorf("%+v, first seen %v", s, since)
		}
		c.with(func(b *broker) { b.remove(b.members[a.Status().Member]) })
		c.setFault(func(call, _ string) error {
			if call == "join" {
				return kafka.GroupAuthorizationFailed
			}
			return nil
		})
		until(t, 2*time.Second, "all is lost", func() bool { return a.ends()[queue.Lost] == 4 })
		time.Sleep(time.Minute)
		if s := a.Status(); s.Err == nil || c.calls["join"] > 45 {
			t.Errorf("%+v, %d joins", s, c.calls["join"])
		}
		c.setFault(nil)
		settle(t, 5*time.Second, 4, a)
	})
}

// A member that is stopped while its first join is under way leaves no ghost.
func TestAStopInTheFirstJoinLeavesNothing(t *testing.T) {
	for _, after := range []time.Duration{0, 1500 * time.Microsecond, 2500 * time.Microsecond, 3500 * time.Microsecond, 100 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 4)
				a := c.start(c.config(""))
				settle(t, time.Second, 4, a)
				c.setFault(func(call, member string) error { // holds a's beats, so that the round stays open
					if call == "beat" {
						return errHangs
					}
					return nil
				})
				b := c.start(c.config(""))
				time.Sleep(after)
				if err := b.halt(); err != nil {
					t.Error(err)
				}
				c.setFault(nil)
				c.with(func(b *broker) {
					if len(b.members) != 1 || len(b.pending) != 0 {
						t.Errorf("%d members and %d ids", len(b.members), len(b.pending))
					}
				})
			})
		})
	}
}

func TestCommitIsFencedByLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		a := c.start(c.config(""))
		settle(t, time.Second, 2, a)
		l := a.any()
		commit := func(l *Lease, offset int64) error {
			errs := a.Commit(t.Context(), []Mark{{Lease: l, Offset: offset, Metadata: "gap"}})
			if errs == nil {
				return nil
			}
			return errs[0]
		}
		if err := commit(l, 20); err != nil {
			t.Error(err)
		}
		if err := commit(l, 20); err != nil {
			t.Error(err)
		}
		if err := commit(l, 7); !errors.Is(err, ErrSuperseded) {
			t.Errorf("an offset goes back: %v", err)
		}
		a.mu.Lock()
		leases := slices.Collect(maps.Keys(a.leases))
		a.mu.Unlock()
		b := c.start(c.config(""))
		settle(t, 2*time.Second, 1, a, b)
		// The member is current and the broker would take both; the lease decides.
		refused := 0
		for _, l := range leases {
			gone := slices.Contains(b.serving(), l.TopicPartition)
			err := commit(l, 1<<40) // what the drain has committed: not behind it
			if gone != errors.Is(err, ErrNotOwned) {
				t.Errorf("lease gone: %v, commit: %v", gone, err)
			}
			if gone {
				refused++
			}
		}
		if refused != 1 {
			t.Errorf("%d of the two leases are gone, want 1", refused)
		}
	})
}

func TestCommitErrors(t *testing.T) {
	for _, code := range []kafka.Error{kafka.OffsetMetadataTooLarge, kafka.InvalidCommitOffsetSize, kafka.UnknownTopicOrPartition, kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed} {
		t.Run("returned: "+code.Title(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				a := c.start(c.config(""))
				settle(t, time.Second, 2, a)
				c.failCommits(1, code)
				errs := a.Commit(t.Context(), []Mark{{Lease: a.any(), Offset: 1}})
				if errs == nil || !errors.Is(errs[0], code) {
					t.Errorf("%v", errs)
				}
				if errs := a.Commit(t.Context(), []Mark{{Lease: a.any(), Offset: 2}}); errs != nil {
					t.Errorf("the next one: %v", errs)
				}
			})
		})
	}
	for _, err := range []error{kafka.NotCoordinatorForGroup, kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable, kafka.RequestTimedOut, kafka.RebalanceInProgress, errCutOff, errHangs} {
		t.Run("waited out: "+err.Error(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				a := c.start(c.config(""))
				settle(t, time.Second, 2, a)
				c.failCommits(3, err)
				l := a.any()
				if errs := a.Commit(t.Context(), []Mark{{Lease: l, Offset: 5, Metadata: "m"}}); errs != nil {
					t.Error(errs)
				}
				c.with(func(b *broker) {
					if got := b.offsets[l.TopicPartition]; got.Offset != 5 || got.Metadata != "m" {
						t.Errorf("%+v", got)
					}
				})
				if a.ends()[queue.Lost] > 0 {
					t.Error("leases were lost")
				}
				c.failCommits(1000, err)
				ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
				defer cancel()
				begin := time.Now()
				errs := a.Commit(ctx, []Mark{{Lease: l, Offset: 6}})
				if took := time.Since(begin); errs == nil || !errors.Is(errs[0], context.DeadlineExceeded) || took > 8*time.Second {
					t.Errorf("after %v: %v", took, errs)
				}
				if n := c.count("commit"); n > 150 {
					t.Errorf("%d requests in %v", n, time.Since(begin))
				}
			})
		})
	}
}

func (c *cluster) failCommits(n int, err error) {
	c.setFault(func(call, _ string) error {
		if call != "commit" || n == 0 {
			return nil
		}
		n--
		return err
	})
}

func (c *cluster) count(call string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[call]
}

// A Serve that does not return is fenced off: it commits nothing, and the
// partition moves on.
func TestADrainIsCapped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		stuck := make(chan struct{})
		cfg := c.config("")
		cfg.Drain = 2 * time.Second
		held := make(chan *Lease, 10)
		cfg.Serve = func(ctx context.Context, l *Lease) {
			held <- l
			<-ctx.Done()
			<-stuck
		}
		a := c.start(cfg)
		leases := []*Lease{<-held, <-held}
		b := c.start(c.config(""))
		time.Sleep(5 * time.Second)
		if len(b.serving()) != 0 {
			t.Error("it was not waited for")
		}
		settle(t, 5*time.Second, 1, b)
		i := slices.IndexFunc(leases, func(l *Lease) bool { return l.TopicPartition == b.serving()[0] })
		<-leases[i].Lost()
		if errs := a.Commit(t.Context(), []Mark{{Lease: leases[i], Offset: 9}}); errs == nil || !errors.Is(errs[0], ErrNotOwned) {
			t.Errorf("its commit: %v", errs)
		}
		close(stuck)
		if err := a.halt(); err != nil {
			t.Error(err)
		}
	})
}

// Positions that cannot be read are asked for again; a lease that ends meanwhile
// is never served.
func TestPositionsAreWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 4)
		c.with(func(b *broker) {
			b.offsets[wire.TopicPartition{Topic: "logs", Partition: 2}] = wire.Committed{Offset: 77, Metadata: "gaps"}
		})
		c.setFault(func(call, _ string) error {
			if call == "committed" {
				return errCutOff
			}
			return nil
		})
		a := c.start(c.config(""))
		until(t, time.Second, "it has leases", func() bool { return a.Status().Leases == 4 })
		time.Sleep(3 * time.Second)
		b := c.start(c.config(""))
		until(t, 3*time.Second, "they are shared", func() bool { return a.Status().Leases == 2 && b.Status().Leases == 2 })
		if len(a.serving())+len(b.serving()) > 0 {
			t.Error("a lease is served without its position")
		}
		if s := a.Status(); s.Err == nil || s.Since.IsZero() {
			t.Errorf("nothing is said of it: %+v", s)
		}
		c.setFault(nil)
		settle(t, 3*time.Second, 2, a, b)
		until(t, time.Second, "it is well again", func() bool { return a.Status().Err == nil && b.Status().Err == nil })
		for _, p := range []*pod{a, b} {
			for l := range p.leases {
				if want := l.Partition == 2; want != (l.Committed == 77 && l.Metadata == "gaps") || !want && l.Committed != -1 {
					t.Errorf("%s begins at %d %q", l, l.Committed, l.Metadata)
				}
			}
		}
	})
}

// The leader that cannot list partitions leaves all as it is and tries again.
func TestALeaderWithoutMetadataMovesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 4)
		cfg := c.config("")
		var broken bool
		list := cfg.Partitions
		cfg.Partitions = func(ctx context.Context, topics []string) (map[string][]int32, error) {
			c.mu.Lock()
			fail := broken
			c.mu.Unlock()
			if fail {
				return nil, errCutOff
			}
			return list(ctx, topics)
		}
		a := c.start(cfg)
		settle(t, time.Second, 4, a)
		c.mu.Lock()
		broken = true
		c.mu.Unlock()
		b := c.start(cfg)
		time.Sleep(5 * time.Second)
		if len(a.serving()) != 4 || !b.Status().Joined {
			t.Errorf("%d are served, %+v", len(a.serving()), b.Status())
		}
		c.mu.Lock()
		broken = false
		c.mu.Unlock()
		settle(t, 5*time.Second, 2, a, b)
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	c := &cluster{}
	good := c.config("")
	good.Serve = func(context.Context, *Lease) {}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"client": func(c *Config) { c.Client = nil }, "serve": func(c *Config) { c.Serve = nil },
		"group": func(c *Config) { c.Group = "" }, "session": func(c *Config) { c.Session = 0 },
		"heartbeat": func(c *Config) { c.Heartbeat = c.Session },
	} {
		bad := good
		spoil(&bad)
		if _, err := New(bad); err == nil || !strings.HasPrefix(err.Error(), "couldn't ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
