//go:build failpoint && unix

package failpoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The actions without an argument.
const (
	actKill  = "kill"
	actTerm  = "term"
	actStop  = "stop"
	actError = "error"
	actPanic = "panic"
)

// plan is what happens at one point.
type plan struct {
	point  Point
	nth    int64
	on     bool // and at each hit after it
	action string
	pause  time.Duration // of sleep
}

// parse reads FLUSHLINE_FAILPOINT.
func parse(spec string) ([]plan, error) {
	var all []plan
	if spec == "" {
		return nil, nil
	}
	for one := range strings.SplitSeq(spec, ",") {
		p, err := parseOne(one)
		if err != nil {
			return nil, fmt.Errorf("FLUSHLINE_FAILPOINT: %q: %w", one, err)
		}
		if slices.ContainsFunc(all, func(o plan) bool { return o.point == p.point }) {
			return nil, fmt.Errorf("FLUSHLINE_FAILPOINT: %s is named twice", p.point)
		}
		all = append(all, p)
	}
	return all, nil
}

func parseOne(one string) (p plan, err error) {
	f := strings.SplitN(one, ":", 3)
	if len(f) != 3 {
		return p, fmt.Errorf("write name:nth:action")
	}
	points := Points()
	at := slices.IndexFunc(points, func(i Info) bool { return string(i.Point) == f[0] })
	if at < 0 {
		return p, fmt.Errorf("there is no such point")
	}
	p.point, p.action = points[at].Point, f[2]
	nth, on := strings.CutSuffix(f[1], "+")
	p.on = on
	if p.nth, err = strconv.ParseInt(nth, 10, 64); err != nil || p.nth < 1 {
		return p, fmt.Errorf("write which hit it is, from 1")
	}
	switch p.action {
	case actKill, actTerm, actStop, actPanic:
		return p, nil
	case actError:
		if !points[at].Fails {
			return p, fmt.Errorf("the step returns no error there")
		}
		return p, nil
	}
	d, ok := strings.CutPrefix(p.action, "sleep(")
	d, end := strings.CutSuffix(d, ")")
	if !ok || !end {
		return p, fmt.Errorf("the actions are kill, term, stop, sleep(d), error and panic")
	}
	if p.pause, err = time.ParseDuration(d); err != nil || p.pause <= 0 {
		return p, fmt.Errorf("write how long it sleeps, as in sleep(100ms)")
	}
	return p, nil
}
