package worker_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// settle waits until nothing in the bubble moves.
func (r *rig) settle() { synctest.Wait() }

// shelves are the groups that each flusher of two routes got.
type shelves map[string]*checker.Script

func (s shelves) routes() []worker.Route {
	for _, name := range []string{"web/a", "web/b", "rest/a", "rest/c"} {
		s[name] = checker.New()
	}
	return []worker.Route{
		routeOf("web", worker.Match{Logstore: "web*"}, entryOf("a", s["web/a"]), entryOf("b", s["web/b"])),
		routeOf("rest", worker.Match{Project: "p"}, entryOf("a", s["rest/a"]), entryOf("c", s["rest/c"])),
	}
}

// Eight messages: two of route web, four of route rest, one without a route, one
// without a key.
func (r *rig) publishAssorted() {
	g := encode(r.t, group("x"))
	for _, logstore := range []string{"web1", "web2", "x", "y", "y", "y"} {
		r.q.Publish(keyed("p", logstore, g))
	}
	r.q.Publish(keyed("q", "x", g), queue.Message{Value: g})
}

func TestASelectionDeliversItsPartAndSkipsTheRest(t *testing.T) {
	for name, c := range map[string]struct {
		only    worker.Selection
		want    map[string]int64 // groups by route/flusher
		skipped int64
		dead    map[string]int64
	}{
		"nothing selected is everything": {
			worker.Selection{},
			map[string]int64{"web/a": 2, "web/b": 2, "rest/a": 4, "rest/c": 4},
			0,
			map[string]int64{worker.ReasonNoRoute: 1, worker.ReasonNoKey: 1},
		},
		"keys": {
			worker.Selection{Match: worker.Match{Logstore: "?"}},
			map[string]int64{"rest/a": 4, "rest/c": 4},
			3,
			map[string]int64{worker.ReasonNoRoute: 1},
		},
		"keys of one project": {
			worker.Selection{Match: worker.Match{Project: "p", Logstore: "x"}},
			map[string]int64{"rest/a": 1, "rest/c": 1},
			7, nil,
		},
		"a route": {
			worker.Selection{Route: "web"},
			map[string]int64{"web/a": 2, "web/b": 2},
			6, nil,
		},
		"a flusher of every route that has it": {
			worker.Selection{Flusher: "a"},
			map[string]int64{"web/a": 2, "rest/a": 4},
			0,
			map[string]int64{worker.ReasonNoRoute: 1, worker.ReasonNoKey: 1},
		},
		"a flusher that one route has": {
			worker.Selection{Flusher: "c"},
			map[string]int64{"rest/c": 4},
			2,
			map[string]int64{worker.ReasonNoRoute: 1, worker.ReasonNoKey: 1},
		},
		"a flusher of one route": {
			worker.Selection{Flusher: "rest/a"},
			map[string]int64{"rest/a": 4},
			4, nil,
		},
		"a flusher of a route by two names": {
			worker.Selection{Route: "web", Flusher: "b"},
			map[string]int64{"web/b": 2},
			6, nil,
		},
		"all at once": {
			worker.Selection{Match: worker.Match{Logstore: "y"}, Route: "rest", Flusher: "rest/c"},
			map[string]int64{"rest/c": 3},
			5, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := shelves{}
				r := start(t, memory.Config{}, worker.Config{Only: c.only, Routes: s.routes()})
				r.publishAssorted()
				r.acked(8)
				r.mustStop()
				r.drained()
				got := map[string]int64{}
				for name, s := range s {
					if n := int64(s.Stats().Groups); n > 0 {
						got[name] = n
					}
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("groups by flusher (-want +got):\n%s", diff)
				}
				counts := r.w.Status().Sources[0].Counts
				if n := counts.Skipped[worker.SkippedNotSelected]; n != c.skipped {
					t.Errorf("%d groups were skipped as not selected, want %d", n, c.skipped)
				}
				if !maps.Equal(c.dead, counts.DeadLettered) {
					t.Errorf("dead letters %v, want %v", counts.DeadLettered, c.dead)
				}
			})
		})
	}
}

// Groups of one message are selected one by one.
func TestAMessageIsAcknowledgedWhenItsSelectedGroupsHaveEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := shelves{}
		r := start(t, memory.Config{}, worker.Config{
			Only: worker.Selection{Match: worker.Match{Logstore: "web1"}}, Routes: s.routes(),
			Payload: worker.Payload{Format: protocol.FormatLogGroupList, Key: []worker.KeyRule{
				{From: worker.KeyHeaders}, {From: worker.KeyTag, Parts: protocol.Key{Logstore: "store"}},
			}},
		})
		var list protocol.LogGroupList
		for _, logstore := range []string{"web2", "web1", "other", "web1"} {
			g := group(logstore)
			g.LogTags = []*protocol.LogTag{{Key: "store", Value: logstore}}
			list.LogGroupList = append(list.LogGroupList, g)
		}
		v, err := list.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		s["web/a"].SetReady(false)
		r.q.Publish(keyed("p", "", v), keyed("p", "web2", v)) // of the second, the header says what all of it is
		r.acked(1)                                            // what is not wanted waits for nobody
		r.settle()
		if n := s["web/b"].Stats().Groups; n != 2 {
			t.Errorf("%d groups came, want the 2 that are selected", n)
		}
		s["web/a"].SetReady(true)
		r.acked(2)
		r.mustStop()
		if n := s["web/a"].Stats().Groups; n != 2 {
			t.Errorf("%d groups came, want 2", n)
		}
		if n := r.w.Status().Sources[0].Counts.Skipped[worker.SkippedNotSelected]; n != 6 {
			t.Errorf("%d groups were skipped, want 6", n)
		}
	})
}

// What is meant for one flusher entry goes to it or nowhere.
func TestASelectionDoesNotRedirectWhatIsMeantForOneEntry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := shelves{}
		r := start(t, memory.Config{}, worker.Config{Only: worker.Selection{Flusher: "web/a"}, Routes: s.routes()})
		g := encode(t, group("x"))
		for _, to := range []string{"test/web/a", "test/web/b"} {
			r.q.Publish(keyed("p", "web1", g, queue.Header{Key: queue.HeaderTo, Value: to}))
		}
		r.acked(2)
		r.mustStop()
		if a, b := s["web/a"].Stats().Groups, s["web/b"].Stats().Groups; a != 1 || b != 0 {
			t.Errorf("a got %d groups and b %d, want 1 and 0", a, b)
		}
		if n := r.w.Status().Sources[0].Counts.Skipped[worker.SkippedNotSelected]; n != 1 {
			t.Errorf("%d groups were skipped, want the one that is meant for b", n)
		}
	})
}

func TestASelectionOfWhatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		only worker.Selection
		want string
	}{
		{worker.Selection{Route: "wep"}, `did you mean "web"?`},
		{worker.Selection{Route: "something"}, "there is web, rest"},
		{worker.Selection{Flusher: "dd"}, "there is a, b, a, c"},
		{worker.Selection{Flusher: "web/c"}, `flusher of route web "c"`},
		{worker.Selection{Flusher: "wep/a"}, `did you mean "web"?`},
		{worker.Selection{Route: "rest", Flusher: "b"}, `flusher of route rest "b"`},
		{worker.Selection{Route: "rest", Flusher: "web/a"}, "is not one of route rest"},
	} {
		_, err := worker.New(worker.Config{Deployment: "d", Only: c.only, Routes: shelves{}.routes()})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want it to say %s", c.only, err, c.want)
		}
	}
}

func TestAReloadKeepsWhatIsSelected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := shelves{}
		routes := s.routes()
		r := start(t, memory.Config{}, worker.Config{Only: worker.Selection{Route: "web"}, Routes: routes})
		if _, err := r.w.Reload(worker.Table{Routes: slices.Clone(routes[1:])}); err == nil {
			t.Error("a table without the selected route was taken over")
		}
		r.publishAssorted()
		r.acked(8)
		r.mustStop()
		if n := s["web/a"].Stats().Groups; n != 2 {
			t.Errorf("%d groups came, want 2", n)
		}
	})
}
