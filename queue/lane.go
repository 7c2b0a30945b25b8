package queue

import (
	"fmt"
	"net/url"
	"strings"
)

// Lane names a lane where queues speak of it: one key toward one flusher entry.
type Lane struct {
	Route, Flusher            string
	Project, Logstore, Config string
}

// String is <route>.<flusher>.<project>.<logstore>.<config>, percent-encoded outside
// [A-Za-z0-9_-]: five tokens of a NATS subject.
func (l Lane) String() string {
	return strings.Join([]string{l.Route, l.Flusher, token(l.Project), token(l.Logstore), token(l.Config)}, ".")
}

// Entry is route/flusher, as behind the deployment in x-flushline-to.
func (l Lane) Entry() string { return l.Route + "/" + l.Flusher }

// ParseLane reads what String wrote.
func ParseLane(s string) (Lane, error) {
	t := strings.Split(s, ".")
	if len(t) != 5 {
		return Lane{}, fmt.Errorf("%q is no lane: it has %d parts, not route, flusher, project, logstore and config", s, len(t))
	}
	for i := range t {
		plain, err := url.PathUnescape(t[i])
		if err != nil || plain == "" {
			return Lane{}, fmt.Errorf("%q is no lane: part %d, %q, is empty or badly encoded", s, i+1, t[i])
		}
		t[i] = plain
	}
	return Lane{t[0], t[1], t[2], t[3], t[4]}, nil
}

// escapes are for what url.QueryEscape leaves; making a Replacer costs more than its use.
var escapes = strings.NewReplacer("+", "%20", ".", "%2E", "~", "%7E")

// token makes a text one token of a subject.
func token(s string) string { return escapes.Replace(url.QueryEscape(s)) }
