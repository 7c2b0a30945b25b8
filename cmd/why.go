package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/internal/why"
	"github.com/flushline/flushline/worker"
)

func newWhy(p *program) *cobra.Command {
	o := statusOptions{blocked: true}
	var a adminOptions
	c := &cobra.Command{
		Use:   "why",
		Short: "Say what does not move in a running worker, what holds it up, and what would free it",
		Long: `The same as ` + "`flushline status --blocked`" + `: asks a running worker for one snapshot and shows what
stands, what holds the most up first: strands with the lane that has their oldest
message, then what stopped or was paused, then the other lanes. Each comes with its
position, its tries, its last error, and what would free it. If nothing stands, it asks
again behind a second and says what moves.

Exit codes: 0 shown, whatever stands; 64 usage or configuration; 69 no worker answered.`,
		Example: `  flushline why
  flushline why --watch
  flushline why --json | jq -r '.causes[] | .name + ": " + .freed_by'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return p.status(ctx, &a, o)
		},
	}
	a.flags(p, c)
	c.Flags().BoolVar(&o.asJSON, "json", false, "print JSON; with --watch an object a line")
	c.Flags().BoolVar(&o.strands, "all", false, "list every strand and lane that the snapshot names, not the first five of each cause")
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "ask again every two seconds, until interrupted")
	return c
}

// asker asks one worker, again and again if it has to.
type asker struct {
	target *adminClient
	o      statusOptions
	before *worker.Status // the last answer, from which speed is told
}

// speedOver is how long the second of two looks is behind the first.
const speedOver = time.Second

// frame is one answer as it is printed.
func (k *asker) frame(ctx context.Context) ([]byte, error) {
	body, s, err := k.ask(ctx)
	switch {
	case err != nil:
		return nil, err
	case !k.o.blocked && k.o.asJSON:
		return body, nil
	}
	var b bytes.Buffer
	if !k.o.blocked {
		err = printStatus(&b, s, k.o.scope)
		return b.Bytes(), err
	}
	r := why.Of(s, k.before)
	if len(r.Causes) == 0 && k.before == nil {
		if r, err = k.again(ctx, s); err != nil {
			return nil, err
		}
	}
	k.before = s
	switch {
	case !k.o.asJSON:
		err = printWhy(&b, r, k.o.strands)
	case k.o.watch:
		err = json.NewEncoder(&b).Encode(r)
	default:
		err = printJSON(&b, r)
	}
	return b.Bytes(), err
}

// again looks a second time: that nothing stands is shown by what moves.
func (k *asker) again(ctx context.Context, first *worker.Status) (*why.Report, error) {
	t := time.NewTimer(speedOver)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return why.Of(first, nil), nil
	case <-t.C:
	}
	_, s, err := k.ask(ctx)
	if err != nil {
		return nil, err
	}
	return why.Of(s, first), nil
}

func (k *asker) ask(ctx context.Context) ([]byte, *worker.Status, error) {
	body, err := k.target.call(ctx, http.MethodGet, "/status")
	if err != nil {
		return nil, nil, err
	}
	s := new(worker.Status)
	if err := json.Unmarshal(body, s); err != nil {
		return nil, nil, fmt.Errorf("couldn't read the answer of %s: is it a flushline admin address? %w", k.target.base, err)
	}
	return body, s, nil
}
