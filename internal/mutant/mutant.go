// Package mutant plants defects into the program, one at a time, to see that the
// tests find them: a harness that has never caught a bug proves nothing.
//
// A defect stands beside the line that is correct:
//
//	if err != nil && !mutant.On(mutant.DropLetter) {
//
// Without the build tag `mutant` On is the constant false, so that nothing of this is
// in the program. With it FLUSHLINE_MUTANT names the one that is on. `make mutants`
// plants each in List and runs the checks that have to catch it.
package mutant

// Mutant is a defect that can be planted.
type Mutant uint8

// The defects; List says what each of them breaks.
const (
	none Mutant = iota
	AckBeforeFlush
	AckFirstPart
	AckAtShutdown
	ReleaseRunning
	DropLetter
	SwallowPartial
	SkipUndecodable
	ForgetAbandoned
	DrainLost
	BudgetLeak
	UncountRelease
	LateRetry
	ParkUnstored
	DeferAcks
	ProbeStorm
	ServeShut
	TryEnds
	TryUnsaved
	TailUnseen
	SurplusUncounted
	SurplusStays
	CrowdWaits
	BlockForgets
	IdleForgotten
	IdleShut
	TurnLeak
	TurnUnbounded
	HalveBlind
	LoseHalf
	DoomTimeout
	CommitHighest
	NoFence
	CommitAfterEnd
	CommitBack
	EpochZero
	ForeignMap
	IgnoreDoubt
	NewOrigin
	LateAck
	NoInProgress
	ForgetAcks
	ForgetEnded
	CheckpointAhead
	ResumeSkips
	ResumeForgets
	NoAheadLimit
	StaleConfirm
	SaveUnfencedDir
	SaveUnfencedBucket
	SaveUnfencedTopic
	FileEarly
	FileNoSync
	HTTPEarly
	NATSEarly
	ElasticItems
	ResolveFirst
	count
)
