package job

import (
	"context"
	"errors"
	"fmt"

	"github.com/flushline/flushline/queue"
)

// Slice is a run of positions of one input, read in order: a partition from offset
// to offset, a stream from sequence to sequence, a file from its first byte to its
// last. Positions of a file are offsets in its decompressed bytes.
type Slice struct {
	Name  string `json:"name"`           // unique within a plan: "logs[3]", "LOGS 1-5000", a path or URL
	From  int64  `json:"from,omitempty"` // the first position
	To    int64  `json:"to"`             // the first position behind it; -1: where the input ends
	Shard int    `json:"shard,omitempty"`

	Size  int64  `json:"size,omitempty"`  // of a file as stored, in bytes
	Stamp string `json:"stamp,omitempty"` // changes when the input becomes another one: mtime, etag, topic id, creation time of a stream
	Cut   int    `json:"cut,omitempty"`   // Name[Cut:] is the name below the root that it was found under
}

// Input opens slices. Its methods may be called from any goroutine.
type Input interface {
	// Open begins to read a slice at a position: From, or one that a message or
	// Batch.Next of an earlier reader named. Errors are those of Reader.Read.
	Open(ctx context.Context, s *Slice, at int64) (Reader, error)
}

// Reader reads one slice in order. It is for one goroutine.
type Reader interface {
	// Read returns what follows: messages that hold about as many bytes as asked for
	// (see queue.Message.Held), at least one, or none if Next moved. It waits for
	// nothing but its input.
	//
	// io.EOF: the slice has ended; no other error wraps it, though a connection that was
	// cut ends in one. A *ChangedError: the input is not the one that was
	// planned; the job fails. An error made by Unreadable: the rest of the slice cannot
	// be read, ever; the job goes on without it and says so. Any other error is
	// trouble that may pass, one made by Away the absence of the broker: Read is called
	// again, and goes on where it was.
	Read(ctx context.Context, bytes int64) (Batch, error)

	// Seed is what the origins of messages derive from that brought none.
	Seed() *queue.OriginSeed

	Close() error
}

// Consumer is a Reader that knows how much of Slice.Size it has used up.
type Consumer interface {
	Consumed() int64 // may be called from any goroutine
}

// Batch is what one Read brought. Positions ascend over all batches of a slice and
// lie below Next, where reading goes on. In a slice that has a To, each position is
// a message or is counted in Passed.
type Batch struct {
	Messages []queue.Message
	Origins  []queue.Origin   // nil, or one for each message; zero: it derives from the place
	Next     int64            // all positions below are accounted for
	Passed   map[string]int64 // positions without a message for us, by the Passed constants
	Damage   []Damage         // what could not be read as it should; messages that hold it are dead-lettered
}

// Why a position holds no message for us. The words are those of
// queue.Status.PassedOver.
const (
	PassedControl   = "control"   // a marker of Kafka's
	PassedAborted   = "aborted"   // of a transaction that was aborted
	PassedCompacted = "compacted" // compacted away
	PassedAbsent    = "absent"    // NATS: deleted one by one, or of a subject that was not asked for
	PassedExpired   = "expired"   // retention took it before we came: lost to this job
	PassedTooLarge  = "too_large" // cannot be held at all: lost to this job
)

// lossy are the reasons that make a job incomplete.
var lossy = map[string]bool{PassedExpired: true, PassedTooLarge: true}

// Damage is a part of an input that could not be read as it should.
type Damage struct {
	Slice  string `json:"slice,omitempty"` // filled in by the Source
	Offset int64  `json:"offset"`          // where it begins: a position of the slice
	Length int64  `json:"length"`          // -1: up to the end of the slice
	Why    string `json:"why"`
}

// ChangedError says that an input is not what the plan saw: another size, time or
// etag, gone, or made anew.
type ChangedError struct {
	Slice string
	Why   string
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s is not what it was when the job was planned: %s", e.Slice, e.Why)
}

// Unreadable marks an error as one that no second try mends.
func Unreadable(err error) error { return &unreadable{err} }

// IsUnreadable says whether an error was marked by Unreadable.
func IsUnreadable(err error) bool {
	var u *unreadable
	return errors.As(err, &u)
}

type unreadable struct{ err error }

func (u *unreadable) Error() string { return u.err.Error() }
func (u *unreadable) Unwrap() error { return u.err }

// Away marks trouble as the absence of a broker: it is broker_away in the status
// of the strand.
func Away(err error) error { return &away{err} }

// IsAway says whether an error was marked by Away.
func IsAway(err error) bool {
	var a *away
	return errors.As(err, &a)
}

type away struct{ err error }

func (a *away) Error() string { return a.err.Error() }
func (a *away) Unwrap() error { return a.err }
