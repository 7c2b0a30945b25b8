package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Action is what a step of a plan does.
type Action string

// The actions. Refuse means that something exists with settings that lose or
// stall data and may not be changed: Why says by what.
const (
	Create Action = "create"
	OK     Action = "ok"
	Update Action = "update"
	Refuse Action = "refuse"
)

// Change is one setting of a step.
type Change struct{ Field, From, To string }

// Step is one object of a plan: what a queue needs at its broker before it can be
// read safely, and what is missing of it.
type Step struct {
	What    string   // "topic", "stream", "consumer", "companion", "offsets"
	Name    string   // "logs", "LOGS/flushline", "logs.flushline.dlq"
	Action  Action   //
	Changes []Change // what Create and Update write; with OK, what is not as it should be
	Why     string   // with Refuse: what has to be done

	// Do carries out Create or Update; nil: there is nothing to do.
	Do func(context.Context) error
}

// stepPatience is how long one step may take: a broker that is asked for more than
// it can do at once still answers within it.
const stepPatience = 10 * time.Second

// Apply carries the step out. OK does nothing; Refuse is an error.
func (s *Step) Apply(ctx context.Context) error {
	switch {
	case s.Action == Refuse:
		return fmt.Errorf("couldn't set up %s %s: %s", s.What, s.Name, s.Why)
	case s.Do == nil:
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stepPatience)
	defer cancel()
	if err := s.Do(ctx); err != nil {
		return fmt.Errorf("couldn't %s %s %s: %w", s.Action, s.What, s.Name, err)
	}
	return nil
}

// ApplyAll goes on after a failure, so that one run shows everything; the error
// joins what failed.
func ApplyAll(ctx context.Context, steps []Step) error {
	var errs []error
	for i := range steps {
		errs = append(errs, steps[i].Apply(ctx))
	}
	return errors.Join(errs...)
}

func (s *Step) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-7s %s %s", s.Action, s.What, s.Name)
	for _, c := range s.Changes {
		fmt.Fprintf(&b, "\n        %s: %s", c.Field, c.To)
		if c.From != "" {
			fmt.Fprintf(&b, " (was %s)", c.From)
		}
	}
	if s.Why != "" {
		b.WriteString("\n        " + s.Why)
	}
	return b.String()
}

// Mend plans what to do about the findings of something that is there: with update
// what setup may write is written, errors that it may not write refuse the step, the
// rest is shown.
func (s *Step) Mend(found []Finding, update bool, write func(context.Context, []Finding) error) {
	var mendable, refused []Finding
	for _, f := range found {
		switch {
		case f.Change != nil && update:
			mendable = append(mendable, f)
		case f.Severity == Error:
			refused = append(refused, f)
		default:
			s.Changes = append(s.Changes, Change{f.Field, f.Found, f.Wanted})
		}
	}
	s.Action = OK
	if len(mendable) > 0 {
		s.Action, s.Changes = Update, nil
		s.Do = func(ctx context.Context) error { return write(ctx, mendable) }
	}
	for _, f := range slices.Concat(mendable, refused) {
		s.Changes = append(s.Changes, Change{f.Field, f.Found, f.Wanted})
	}
	if len(refused) > 0 {
		s.Action, s.Do = Refuse, nil
		why := make([]string, len(refused))
		for i := range refused {
			why[i] = fmt.Sprintf("%s: %s; mend it with: %s", refused[i].Field, refused[i].Why, refused[i].Mend)
		}
		s.Why = strings.Join(why, "; ")
	}
}
