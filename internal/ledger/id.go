package ledger

import (
	"fmt"
	"strconv"
	"strings"
)

// ID names one log of one run: the group's number in the order of trying, and
// the log's index in the group.
type ID struct {
	Group uint64
	Log   int
}

// String is "<group>-<log>".
func (id ID) String() string { return fmt.Sprintf("%d-%d", id.Group, id.Log) }

// MarshalText makes ids readable in a verdict's JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// text is the form that travels inside a log; the run keeps the ids of two runs
// on one stream apart.
func (id ID) text(run string) string { return run + "-" + id.String() }

func parseID(run, s string) (ID, bool) {
	rest, ok := strings.CutPrefix(s, run+"-")
	if !ok {
		return ID{}, false
	}
	group, log, ok := strings.Cut(rest, "-")
	if !ok {
		return ID{}, false
	}
	g, errGroup := strconv.ParseUint(group, 10, 64)
	l, errLog := strconv.Atoi(log)
	return ID{Group: g, Log: l}, errGroup == nil && errLog == nil && l >= 0
}
