package queue_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
)

// What a step does about findings: errors that setup may not write refuse it as a
// whole, also what could be mended; without update nothing is written.
func TestStepMend(t *testing.T) {
	t.Parallel()
	mendable := queue.Finding{Severity: queue.Error, Field: "retention.ms", Found: "7", Wanted: "-1", Why: "letters expire", Change: "-1"}
	fixed := queue.Finding{Severity: queue.Error, Field: "storage", Found: "memory", Wanted: "file", Why: "letters are lost", Mend: "make it again"}
	chosen := queue.Finding{Severity: queue.Warning, Field: "replicas", Found: "1", Wanted: "3"}
	for name, tc := range map[string]struct {
		found   []queue.Finding
		update  bool
		action  queue.Action
		changes []string
		writes  int
	}{
		"right":                     {nil, true, queue.OK, nil, 0},
		"a choice":                  {[]queue.Finding{chosen}, true, queue.OK, []string{"replicas"}, 0},
		"mendable":                  {[]queue.Finding{mendable, chosen}, true, queue.Update, []string{"retention.ms"}, 1},
		"mendable, without update":  {[]queue.Finding{mendable, chosen}, false, queue.Refuse, []string{"replicas", "retention.ms"}, 0},
		"beside what nothing mends": {[]queue.Finding{mendable, fixed}, true, queue.Refuse, []string{"retention.ms", "storage"}, 0},
	} {
		wrote := 0
		s := queue.Step{What: "companion", Name: "x"}
		s.Mend(tc.found, tc.update, func(_ context.Context, fs []queue.Finding) error {
			wrote += len(fs)
			return nil
		})
		err := s.Apply(t.Context())
		var fields []string
		for _, c := range s.Changes {
			fields = append(fields, c.Field)
		}
		if s.Action != tc.action || !cmp.Equal(fields, tc.changes) || wrote != tc.writes || (err != nil) != (tc.action == queue.Refuse) {
			t.Errorf("%s: %s of %v wrote %d, error %v; want %s of %v, %d written", name, s.Action, fields, wrote, err, tc.action, tc.changes, tc.writes)
		}
	}
}

func TestApplyAllGoesOn(t *testing.T) {
	t.Parallel()
	broken, applied := errors.New("no room"), 0
	do := func(err error) func(context.Context) error {
		return func(context.Context) error { applied++; return err }
	}
	steps := []queue.Step{
		{What: "topic", Name: "a", Action: queue.Create, Do: do(broken)},
		{What: "topic", Name: "b", Action: queue.Create, Do: do(nil)},
	}
	err := queue.ApplyAll(t.Context(), steps)
	if !errors.Is(err, broken) || err.Error() != "couldn't create topic a: no room" || applied != 2 {
		t.Errorf("%d steps were tried; error %v", applied, err)
	}
}
