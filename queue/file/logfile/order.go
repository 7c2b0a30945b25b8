package logfile

import (
	"cmp"
	"iter"
	"strings"

	"github.com/flushline/flushline/queue/job"
)

const s3Scheme = "s3://"

func isRemote(name string) bool { return strings.HasPrefix(name, s3Scheme) }

// compareNames is the order of a plan: local files as a walk meets them, component
// by component, then objects as S3 lists them, byte by byte.
func compareNames(a, b string) int {
	switch far, away := isRemote(a), isRemote(b); {
	case far && away:
		return strings.Compare(a, b)
	case far:
		return 1
	case away:
		return -1
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return cmp.Compare(rank(a[i]), rank(b[i]))
		}
	}
	return cmp.Compare(len(a), len(b))
}

// rank makes the end of a component less than all that may stand in one.
func rank(c byte) int {
	if c == '/' || c == pathSeparator {
		return -1
	}
	return int(c)
}

// merge makes one sequence of several that are each in order. Of those that have one
// name, the first list's is kept.
func merge(lists []job.Slices) job.Slices {
	if len(lists) == 1 {
		return lists[0]
	}
	return func(yield func(job.Slice, error) bool) {
		heads := make([]head, 0, len(lists))
		defer func() {
			for i := range heads {
				heads[i].stop()
			}
		}()
		for _, l := range lists {
			next, stop := iter.Pull2(l)
			heads = append(heads, head{next: next, stop: stop})
			heads[len(heads)-1].pull()
		}
		for {
			least := leastOf(heads)
			if least < 0 {
				return
			}
			s, err := heads[least].slice, heads[least].err
			if !yield(s, err) || err != nil {
				return
			}
			for i := range heads {
				for heads[i].more && heads[i].err == nil && heads[i].slice.Name == s.Name {
					heads[i].pull()
				}
			}
		}
	}
}

// head is the next slice of a list.
type head struct {
	next  func() (job.Slice, error, bool)
	stop  func()
	slice job.Slice
	err   error
	more  bool
}

func (h *head) pull() { h.slice, h.err, h.more = h.next() }

// leastOf is the head that comes first, or one with an error; -1: all have ended.
func leastOf(heads []head) int {
	least := -1
	for i := range heads {
		switch h := &heads[i]; {
		case !h.more:
		case h.err != nil:
			return i
		case least < 0 || compareNames(h.slice.Name, heads[least].slice.Name) < 0:
			least = i
		}
	}
	return least
}
