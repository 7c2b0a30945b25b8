package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// mostHops is how often a letter may be replayed. One that came back so often will come
// back again.
const mostHops = 8

// resending says what a letter becomes when it is replayed, or why it is not.
type resending struct {
	cfg      *configs.Config
	to       string // route/flusher that gets all of them; empty: the one that missed it
	anyRoute bool   // every flusher of whatever route the key takes now
}

// check refuses a target that the configuration does not have.
func (r *resending) check() error {
	switch {
	case r.to != "" && r.anyRoute:
		return usage(errors.New("--to-route and --any-route exclude each other"))
	case r.to == "" || r.has(r.to):
		return nil
	}
	return usage(fmt.Errorf("--to-route %q: %s has no such flusher: it has %s", r.to, r.cfg.File, strings.Join(r.names(), ", ")))
}

func (r *resending) names() (all []string) {
	for _, e := range r.cfg.Entries() {
		all = append(all, e.Entry())
	}
	return all
}

func (r *resending) has(entry string) bool { return slices.Contains(r.names(), entry) }

// message is the letter as it was before it became one: the same payload bytes, key and
// original headers, with the identity that it had from the start, and one hop more. An
// error says why it is not replayed.
func (r *resending) message(l *queue.Letter, f *queue.Facts) (queue.Message, error) {
	if l.Damage != nil {
		return queue.Message{}, fmt.Errorf("it cannot be read: %w", l.Damage)
	}
	if f.Hops >= mostHops {
		return queue.Message{}, fmt.Errorf("it was replayed %d times and came back each time: see `flushline dlq show` for what it failed with; `dlq export` keeps it elsewhere, `dlq purge` forgets it", f.Hops)
	}
	to, err := r.target(l, f)
	if err != nil {
		return queue.Message{}, err
	}
	m := queue.Message{Value: l.Value, Key: l.Key, Headers: make([]queue.Header, 0, len(l.Headers))}
	for _, h := range l.Headers {
		if staysOnReplay(h.Key) {
			m.Headers = append(m.Headers, h)
		}
	}
	if to != "" {
		m.Headers = append(m.Headers, queue.Header{Key: queue.HeaderTo, Value: to})
	}
	m.Headers = append(m.Headers, queue.Header{Key: queue.HeaderHops, Value: strconv.Itoa(f.Hops + 1)})
	return m, nil
}

// staysOnReplay says which headers of a letter are also those of the message that it
// becomes: what its producer wrote, and its identity.
func staysOnReplay(key string) bool {
	k := strings.ToLower(key)
	switch {
	case !strings.HasPrefix(k, queue.HeaderPrefix), strings.HasPrefix(k, queue.HeaderWas):
		return true
	case k == queue.HeaderOrigin, k == queue.HeaderGroups, k == queue.HeaderFirstSeen:
		return true
	}
	return false
}

// target is x-flushline-to of the message: only the flusher that missed it gets it.
// Empty: it never had one, or is to have none.
func (r *resending) target(l *queue.Letter, f *queue.Facts) (string, error) {
	deployment := r.cfg.Source.Deployment()
	given, has := l.Header(queue.HeaderTo)
	const elsewhere = "--to-route ROUTE/FLUSHER sends it elsewhere, --any-route wherever its key goes now"
	switch {
	case r.anyRoute, !has && r.to == "":
		return "", r.routed(f)
	case r.to != "":
		return deployment + "/" + r.to, r.goesTo(r.to, f)
	case f.Lane.Route == "":
		return "", fmt.Errorf("its header %s is %q, which names no deployment/route/flusher: %s", queue.HeaderTo, given, elsewhere)
	case f.Deployment != deployment:
		return "", fmt.Errorf("it belongs to the deployment %s, and %s is that of %s: give the other one's configuration; %s", f.Deployment, r.cfg.File, deployment, elsewhere)
	case !r.has(f.Lane.Entry()):
		return "", fmt.Errorf("%s has no flusher %s: it has %s; %s", r.cfg.File, f.Lane.Entry(), strings.Join(r.names(), ", "), elsewhere)
	}
	return given, r.goesTo(f.Lane.Entry(), f)
}

// goesTo refuses a flusher that the worker would not deliver the key to. Which key a
// letter without one in its headers has is for the worker to find out.
func (r *resending) goesTo(entry string, f *queue.Facts) error {
	route, _, _ := strings.Cut(entry, "/")
	switch now, keyed := r.routeOf(f); {
	case !keyed || now == route:
		return nil
	case now == "":
		return r.routed(f)
	default:
		return fmt.Errorf("%s goes to route %s and not to %s: --to-route %s/FLUSHER sends it there, --any-route to all of its flushers", keyText(f), now, entry, now)
	}
}

// routed refuses a key that no route takes: it would come back at once.
func (r *resending) routed(f *queue.Facts) error {
	if now, keyed := r.routeOf(f); keyed && now == "" {
		return fmt.Errorf("no route of %s matches %s: add one", r.cfg.File, keyText(f))
	}
	return nil
}

// routeOf is the route that a letter's key takes now; empty: none.
func (r *resending) routeOf(f *queue.Facts) (name string, keyed bool) {
	k := &f.Lane
	if !keyedLane(k) {
		return "", false
	}
	for i := range r.cfg.Routes {
		if worker.Match(r.cfg.Routes[i].Match).Matches(k.Project, k.Logstore, k.Config) {
			return r.cfg.Routes[i].Name, true
		}
	}
	return "", true
}

func keyedLane(k *queue.Lane) bool { return k.Project != "" && k.Logstore != "" && k.Config != "" }

func keyText(f *queue.Facts) string {
	return f.Lane.Project + "/" + f.Lane.Logstore + "/" + f.Lane.Config
}
