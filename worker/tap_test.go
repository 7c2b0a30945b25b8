package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

func (r *rig) tap(q worker.TapRequest) *worker.Tap {
	r.t.Helper()
	tap, err := r.w.Tap(q)
	if err != nil {
		r.t.Fatal(err)
	}
	return tap
}

func oneRoute(s *checker.Script) []worker.Route {
	return []worker.Route{routeOf("a", worker.Match{}, entryOf("x", s), entryOf("y", s))}
}

// A tap shows the groups of just what it names, under the ids that the flusher gets, and
// ends by itself.
func TestATapShowsWhatItNames(t *testing.T) {
	for name, tc := range map[string]struct {
		request worker.TapRequest
		want    []string // flusher/logstore
	}{
		"lane": {
			worker.TapRequest{Target: worker.Target{Route: "a", Flusher: "y", Project: "p", Logstore: "ls1", Config: "c"}},
			[]string{"y/ls1", "y/ls1", "y/ls1"},
		},
		"flusher": {worker.TapRequest{Target: worker.Target{Route: "a", Flusher: "x"}}, []string{"x/ls0", "x/ls1", "x/ls0"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				r := start(t, memory.Config{}, worker.Config{Routes: oneRoute(s)})
				tc.request.Groups = len(tc.want)
				tap := r.tap(tc.request)
				for i := range 10 { // a Fetch result each
					r.q.Publish(keyed("p", fmt.Sprint("ls", i%2), encode(t, group(fmt.Sprint(i)))))
					r.acked(int64(i + 1))
				}
				var got []string
				for range tc.want {
					g, err := tap.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, g.Flusher+"/"+g.Logstore)
					if g.Group.Logs[0].Contents[0].Value != nil || g.Group.Logs[0].Contents[0].Bytes != 1 {
						t.Errorf("a value is shown: %+v", g.Group.Logs[0])
					}
					if g.Route != "a" || g.Project != "p" || g.Config != "c" || g.Strand != "memory[0]" || g.ID == "" || g.Bytes == 0 {
						t.Errorf("the sample: %+v", g)
					}
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if _, err := tap.Next(t.Context()); !errors.Is(err, io.EOF) {
					t.Errorf("after all that was asked for: %v", err)
				}
				if c := tap.Counts(); c != (worker.TapCounts{Seen: int64(len(tc.want))}) {
					t.Errorf("%+v", c)
				}
				r.mustStop()
				r.drained() // without Close: nothing waits in it
				clean(t, s)
			})
		})
	}
}

// A reader that never reads costs samples, counted, and neither time nor books.
func TestATapThatNobodyReadsChangesNothing(t *testing.T) {
	const groups, inFlight = 2000, 1 << 20
	run := func(t *testing.T, tapped bool) (took time.Duration, counts worker.Counts) {
		synctest.Test(t, func(t *testing.T) {
			s := checker.New()
			s.SetDelay(10 * time.Millisecond)
			r := start(t, memory.Config{Strands: 2}, worker.Config{
				Routes: oneRoute(s), Limits: worker.Limits{InFlight: inFlight, Message: 64 << 10},
			})
			began := time.Now()
			var tap *worker.Tap
			if tapped {
				tap = r.tap(worker.TapRequest{Target: worker.Target{Route: "a"}, Groups: worker.MaxTapGroups})
			}
			for i := range groups {
				m := keyed("p", fmt.Sprint("ls", i%7), encode(t, group(strings.Repeat("v", 100))))
				m.Partition = int32(i % 2)
				r.q.Publish(m)
			}
			r.acked(groups)
			took = time.Since(began)
			if tapped {
				used := r.w.Status().Pools[0].Used
				if used == 0 || used > inFlight/32 {
					t.Errorf("%d bytes wait for the reader, want some and at most %d", used, inFlight/32)
				}
				c := tap.Counts()
				if c.Seen != 2*groups || c.Lost == 0 || c.Lost >= c.Seen {
					t.Errorf("%+v, want %d seen and most of them lost", c, 2*groups)
				}
				var shown int64
				for ; ; shown++ {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					_, err := tap.Next(ctx)
					cancel()
					if err != nil {
						break
					}
				}
				if shown != c.Seen-c.Lost {
					t.Errorf("%d were shown of %+v", shown, c)
				}
				tap.Close()
				tap.Close() // again changes nothing
			}
			r.mustStop()
			r.drained()
			clean(t, s)
			counts = r.w.Status().Sources[0].Counts
		})
		return took, counts
	}
	without, books := run(t, false)
	with, tappedBooks := run(t, true)
	if with != without {
		t.Errorf("it took %s with a tap and %s without", with, without)
	}
	if diff := cmp.Diff(books, tappedBooks); diff != "" {
		t.Errorf("the books without and with a tap:\n%s", diff)
	}
}

func TestATapShowsValuesOnlyIfTheConfigurationAllowsIt(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		t.Run(fmt.Sprint(allowed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				r := start(t, memory.Config{}, worker.Config{Routes: oneRoute(s), TapContents: allowed})
				tap, err := r.w.Tap(worker.TapRequest{Target: worker.Target{Route: "a"}, Groups: 1, Contents: true})
				if !allowed {
					if err == nil || !strings.Contains(err.Error(), "admin: {tap: contents}") {
						t.Errorf("opened: %v", err)
					}
					r.mustStop()
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer tap.Close()
				r.publish(1, 1)
				g, err := tap.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if v := g.Group.Logs[0].Contents[0]; v.Value == nil || *v.Value != "0" {
					t.Errorf("the content: %+v", v)
				}
				r.acked(1)
				r.mustStop()
			})
		})
	}
}

func TestTapsAreFewAndEndWithTheWorker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		r := start(t, memory.Config{}, worker.Config{Routes: oneRoute(s)})
		for name, tc := range map[string]struct {
			request worker.TapRequest
			says    string
		}{
			"no such route": {worker.TapRequest{Target: worker.Target{Route: "b"}, Groups: 1}, `there is no route "b"`},
			"half a key":    {worker.TapRequest{Target: worker.Target{Route: "a", Flusher: "x", Project: "p"}, Groups: 1}, "a lane is named by"},
			"a strand":      {worker.TapRequest{Target: worker.Target{Strand: "memory[0]"}, Groups: 1}, "name a route: a tap is on"},
			"nothing":       {worker.TapRequest{Groups: 1}, "name a route"},
			"no groups":     {worker.TapRequest{Target: worker.Target{Route: "a"}}, "1 to 10000 groups, not 0"},
		} {
			if _, err := r.w.Tap(tc.request); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: %v; want %q", name, err, tc.says)
			}
		}
		request := worker.TapRequest{Target: worker.Target{Route: "a"}, Groups: 5}
		var taps []*worker.Tap
		for range 4 {
			taps = append(taps, r.tap(request))
		}
		if _, err := r.w.Tap(request); !errors.Is(err, worker.ErrTaps) {
			t.Errorf("a fifth tap: %v", err)
		}
		taps[0].Close()
		last := r.tap(request)
		r.publish(1, 1)
		r.acked(1)
		for range 2 { // toward two flushers
			if _, err := last.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ended := make(chan error, 1)
		go func() {
			_, err := last.Next(context.Background())
			ended <- err
		}()
		synctest.Wait()
		r.mustStop()
		if err := <-ended; !errors.Is(err, worker.ErrTapStopped) {
			t.Errorf("Next after the end: %v", err)
		}
		for _, tap := range append(taps, last) {
			tap.Close()
		}
		r.drained()
	})
}

// A group beyond what a tap may hold is lost to it, and its neighbours are not.
func TestATapLosesWhatIsTooLarge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		r := start(t, memory.Config{}, worker.Config{Routes: oneRoute(s), Limits: worker.Limits{InFlight: 1 << 20, Message: 64 << 10}})
		tap := r.tap(worker.TapRequest{Target: worker.Target{Route: "a", Flusher: "x"}, Groups: 2})
		defer tap.Close()
		for _, g := range []*protocol.LogGroup{group("1"), group(strings.Repeat("2", 40<<10)), group("3")} {
			r.q.Publish(keyed("p", "ls0", encode(t, g)))
		}
		r.acked(3)
		for range 2 {
			if g, err := tap.Next(t.Context()); err != nil || g.Group.Logs[0].Contents[0].Bytes != 1 {
				t.Errorf("%+v, %v", g, err)
			}
		}
		if c := tap.Counts(); c != (worker.TapCounts{Seen: 3, Lost: 1}) {
			t.Errorf("%+v", c)
		}
		tap.Close()
		r.mustStop()
		r.drained()
		clean(t, s)
	})
}
