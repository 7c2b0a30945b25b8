// Package failpoint lets a test end, freeze, delay or fail the program at a named step.
//
// In the program as it is released a [Hit] is an empty function that the compiler
// leaves out. Built with the tag failpoint (not on Windows), two variables say what
// happens:
//
//	FLUSHLINE_FAILPOINT      name:nth:action[,name:nth:action...]
//	FLUSHLINE_FAILPOINT_LOG  a file to which every hit of a named point and every
//	                         action is appended, before the action
//
// nth is which hit of the process the action is for, from 1; "3+" is the third and
// all that follow. Actions: kill (SIGKILL), term (SIGTERM, and the step goes on), stop
// (SIGSTOP, until somebody continues the process), sleep(d), panic and, at points that
// [Info.Fails], error. The log has lines "hit NAME N" and "fired NAME N ACTION", so
// whoever chose a point can tell that its step was reached. It survives the process,
// not the machine. A value that cannot be read ends the program with exit code 2.
package failpoint

// Point is a step of the program that can be interrupted.
type Point string

// All points. Each has one place in the code.
const (
	FetchAfter       Point = "fetch.after"
	IntakeAfter      Point = "intake.after"
	InitBefore       Point = "init.before"
	FlushBefore      Point = "flush.before"
	FlushAfter       Point = "flush.after"
	PartsBetween     Point = "parts.between"
	LetterPut        Point = "letter.put"
	ParkPut          Point = "park.put"
	ParkServed       Point = "park.served"
	AckBefore        Point = "ack.before"
	AckSent          Point = "ack.sent"
	CommitBefore     Point = "commit.before"
	CommitSent       Point = "commit.sent"
	DrainBegin       Point = "drain.begin"
	DrainRelease     Point = "drain.release"
	ReloadSwap       Point = "reload.swap"
	RebalanceBetween Point = "rebalance.between"
	ParkedMoved      Point = "parked.moved"
	ParkedCommitted  Point = "parked.committed"
	ParkedTried      Point = "parked.tried"
	JobPublish       Point = "job.publish"
	ClaimAfter       Point = "claim.after"
	CheckpointBefore Point = "job.checkpoint.before"
	CheckpointAfter  Point = "job.checkpoint.after"
	LettersBack      Point = "letters.back"
	LettersDelivered Point = "letters.delivered"
	LettersFreed     Point = "letters.freed"
	ChunkSent        Point = "chunk.sent"
	BatchStored      Point = "batch.stored"
	ChunkRemoved     Point = "chunk.removed"
)

// Info is what a crash at a point means.
type Info struct {
	Point Point
	Means string
	Fails bool // the step can return an error there: it is an Err, not a Hit
}

// Points lists all of them, in the order of a message's way.
func Points() []Info {
	return []Info{
		{FetchAfter, "messages have left the queue's buffer and nobody has looked at them", false},
		{IntakeAfter, "a message has its parts and no lane has them yet", false},
		{InitBefore, "a flusher is made and has not begun", true},
		{FlushBefore, "a batch is decoded and its destination has nothing of it", true},
		{FlushAfter, "the destination has the batch and nobody has noted it", false},
		{PartsBetween, "one part of a message has ended, another is still open", false},
		{LetterPut, "dead letters are stored and their messages are not acknowledged", false},
		{ParkPut, "parts are parked and their messages are not acknowledged", false},
		{ParkServed, "a parked record is delivered and its companion does not know", false},
		{AckBefore, "every part of a message has ended and its queue does not know", false},
		{AckSent, "NATS: an acknowledgement is with the client, perhaps not with the server", false},
		{CommitBefore, "Kafka: offsets are decided and not sent", false},
		{CommitSent, "Kafka: the coordinator has answered a commit and nobody has read the answer", false},
		{DrainBegin, "a strand fetches no more and still holds messages", false},
		{DrainRelease, "a strand has waited and gives the rest back next", false},
		{ReloadSwap, "a reload is decided and strands still route by the old table", false},
		{RebalanceBetween, "Kafka: a revoked partition is drained and committed, and the group does not know that it is free", false},
		{ParkedMoved, "Kafka: parked records are put again at the tail and the old ones have not ended", false},
		{ParkedCommitted, "Kafka: parked records have ended and been committed, and still lie in their topic", false},
		{ParkedTried, "Kafka: a lane took a parked record between two sweeps, and no sweep knows", false},
		{JobPublish, "the pieces of a plan are stored and its manifest is not: the job has not begun", false},
		{ClaimAfter, "a shard is claimed and its holder has done nothing with it", false},
		{CheckpointBefore, "a checkpoint is made up and not stored", true},
		{CheckpointAfter, "a checkpoint is stored and its holder has not noted it", false},
		{LettersBack, "dead letters are in their queue again and still lie in theirs", false},
		{LettersDelivered, "dead letters are delivered, or are new ones, and still lie in their queue", false},
		{LettersFreed, "Kafka: resolved dead letters are deleted and nobody has noted up to where", false},
		{ChunkSent, "NATS: a chunk of a letter or of a parked record is with the client, perhaps not with the server, and the next is not", false},
		{BatchStored, "Kafka: a batch of what is put at once, chunks perhaps, is stored and the next is not sent", false},
		{ChunkRemoved, "NATS: a chunk of a letter that is resolved is removed and the next is not", false},
	}
}
