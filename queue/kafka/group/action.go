package group

import (
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// action is something that a machine wants done.
type action interface{ action() }

type (
	// seek looks the coordinator up; answered by found.
	seek struct{ sent time.Time }

	// join takes part in a round; answered by joinAnswered.
	join struct {
		call     uint64
		addr, id string
		claim    []byte
		sent     time.Time
	}

	// lead plans a round for its members; answered by planned.
	lead struct {
		call    uint64
		members []wire.JoinMember
	}

	// agree syncs, which ends a round; answered by synced. assignments is nil unless
	// we lead.
	agree struct {
		call        uint64
		addr, id    string
		gen         int32
		assignments map[string][]byte
		sent        time.Time
	}

	// beat is a sign of life; answered by beaten.
	beat struct {
		addr, id string
		gen      int32
		sent     time.Time
	}

	// leave gives the membership up; answered by left.
	leave struct{ addr, id string }

	// compare asks whether the partitions of our topics are still those that were
	// planned with; answered by compared.
	compare struct{ topics []string }

	// grant begins leases; each is answered by served when it is over.
	grant struct{ leases []*Lease }

	// finish ends a lease in order.
	finish struct {
		lease *Lease
		end   *queue.End
	}

	// fence ends a lease at once.
	fence struct {
		lease *Lease
		why   error
	}

	// settled reports a completed round, for the log.
	settled struct{ granted, revoked, kept int }

	// finished: nothing follows any more.
	finished struct{}
)

func (seek) action()     {}
func (join) action()     {}
func (lead) action()     {}
func (agree) action()    {}
func (beat) action()     {}
func (leave) action()    {}
func (compare) action()  {}
func (grant) action()    {}
func (finish) action()   {}
func (fence) action()    {}
func (settled) action()  {}
func (finished) action() {}
