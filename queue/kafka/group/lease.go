package group

import (
	"context"
	"errors"
	"time"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// ErrNotOwned is the result of a commit under a lease that is over: nothing was
// stored, and the partition's next owner begins where the last accepted commit
// was.
var ErrNotOwned = errors.New("the lease of the partition is over")

// ErrSuperseded is the result of a commit of a position below one that was sent
// before under the same lease: nothing was stored.
var ErrSuperseded = errors.New("a later position was sent before")

// Lease is one partition under one assignment: what is fetched, held and
// committed by its right. Its exported fields do not change once Serve has it.
type Lease struct {
	wire.TopicPartition
	Committed  int64  // the group's committed offset at the grant; -1: none
	Metadata   string // what was committed with it
	Generation int32  // in which it was granted; a generation's number is not unique over the life of a group

	member *Member
	lost   chan struct{}           // closed when nothing may be committed any more
	end    context.CancelCauseFunc // ends the context of Serve

	// The rest is the machine's and guarded by its member.
	state leaseState
	until time.Time // draining: when Serve has to be back
	sent  int64     // highest offset that was sent in a commit
}

type leaseState uint8

const (
	leased   leaseState = iota // granted, being served
	draining                   // revoked or stopping: Serve finishes
	fenced                     // lost, or overdue: Serve may still run but commits nothing
	over                       // Serve has returned
)

func (s leaseState) String() string {
	return [...]string{"leased", "draining", "fenced", "over"}[s]
}

// Lost is closed when nothing can be committed under the lease any more: it was
// lost, or overstayed its drain. Then what still drains is drained in vain.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Doubtful says that the process did nothing for longer than the session time (it
// was stopped, suspended or starved), so that the partition may already be
// another member's. It stays so until the coordinator has confirmed this member,
// or the lease is lost. Meanwhile nothing is committed, and its owner should
// neither fetch nor hand out what it fetched. It is cheap enough to ask before
// each of these.
//
// A coordinator that is away does not make leases doubtful: see the package
// comment.
func (l *Lease) Doubtful() bool {
	select {
	case <-l.lost:
		return true
	default:
		return l.member.doubtful()
	}
}

// Mark is a position to commit under a lease.
type Mark struct {
	Lease    *Lease
	Offset   int64  // of the next message to read; not below earlier marks of the lease
	Metadata string // valid UTF-8, at most 4,096 UTF-16 units by the broker's default
}
