package mutant

import "slices"

// Defect is a mutant and what is expected of it.
type Defect struct {
	Mutant
	Name   string
	Breaks string
	Checks []Check // each of them has to catch it
}

// Check is a test, or several, of one package.
type Check struct {
	Package string // below the module
	Run     string // what their names match, as in `go test -run`
}

// List is every mutant.
func List() []Defect {
	return slices.Concat(engine(), parking(), queues(), kinds())
}

// These are what sees whole deployments, whichever the defect.
var (
	simulated        = Check{"test/sim", "TestNATS"}
	simulatedOnKafka = Check{"test/sim", "TestKafka"}
)

func worker(run string) Check { return Check{"worker", run} }

// engine are those of package worker.
func engine() []Defect {
	return []Defect{
		{
			AckBeforeFlush, "ack-before-flush", "a message is acknowledged when its batch goes to Flush",
			[]Check{worker("TestNothingIsAcknowledgedBeforeFlushReturned"), worker("TestDrains"), simulated},
		},
		{
			AckFirstPart, "ack-first-part", "a message is acknowledged when the first of its parts has ended",
			[]Check{worker("TestEachFlusherOfARouteGetsEveryGroupAndTheLastOneAcknowledges"), simulated},
		},
		{
			AckAtShutdown, "ack-at-shutdown", "what is given back at a stop is acknowledged",
			[]Check{worker("TestAStopIsBoundedAndGivesTheRestBack"), worker("TestDrains"), simulated},
		},
		{
			ReleaseRunning, "release-running", "a message whose batch failed is given back while its strand lives",
			[]Check{worker("TestAFailingFlushIsTriedAgainWithTheIdenticalBatch"), worker("TestDrains")},
		},
		{
			DropLetter, "drop-letter", "a dead letter counts as stored although the queue refused it",
			[]Check{worker("TestAFailingDeadLetterQueueWithholdsTheAcknowledgement"), worker("TestRetries"), simulated},
		},
		{
			SwallowPartial, "swallow-partial", "groups that a partial result names as failed count as flushed",
			[]Check{worker("TestPartialErrorsRetryOnlyWhatFailed"), worker("TestRetries"), simulated},
		},
		{
			SkipUndecodable, "skip-undecodable", "a message that cannot be read is skipped, not dead-lettered",
			[]Check{worker("TestWhatCannotBeReadOrRoutedBecomesADeadLetter")},
		},
		{
			ForgetAbandoned, "forget-abandoned", "the batch of a Flush that was given up is not tried again",
			[]Check{worker("TestTooManyAbandonedCallsWedgeTheLane|TestAHangingFlushOfAConcurrentFlusherIsTriedAgain"), simulatedOnKafka},
		},
		{
			DrainLost, "drain-lost", "a strand that is lost while it drains goes on settling",
			[]Check{worker("TestLostWhileDraining")},
		},
		{
			BudgetLeak, "budget-leak", "the bytes of a message are not given back",
			[]Check{worker("TestMessagesAreFlushedThenAcknowledged"), worker("TestTheReadyGate")},
		},
		{
			UncountRelease, "uncount-release", "parts that are given back are counted nowhere",
			[]Check{worker("TestAStopIsBoundedAndGivesTheRestBack")},
		},
		{
			LateRetry, "late-retry", "what a concurrent call leaves to be tried again waits for a wait of the lane that has nothing to do with it",
			[]Check{worker("TestTheEndOfACallEndsTheWaitForAnother")},
		},
		{
			HalveBlind, "halve-blind", "a batch is halved without a success of its lane since it failed",
			[]Check{worker("TestNoOtherFailureIsPoison"), worker("TestOtherLanesDoomNothing"), worker("TestDoubts")},
		},
		{
			LoseHalf, "lose-half", "the second half of a batch that is halved is forgotten",
			[]Check{worker("TestPoisonIsFoundByHalves"), worker("TestSeveralBadGroupsAreAllFound")},
		},
		{
			DoomTimeout, "doom-timeout", "a timeout counts as if the data were to blame",
			[]Check{worker("TestNoOtherFailureIsPoison")},
		},
	}
}

// carried is a test of the suite that every queue passes.
const carried = "an_origin_in_the_headers_wins_over_the_position"

// queues are those of the sources and of jobs.
func queues() []Defect {
	return []Defect{
		{
			CommitHighest, "commit-highest", "the highest position is committed instead of the lowest that has not ended",
			[]Check{
				{"queue", "TestWatermarkIsTheModels"},
				{"queue/kafka", "TestHandOvers"},
				simulatedOnKafka,
			},
		},
		{
			NoFence, "no-fence", "a commit under a lease that is over is sent",
			[]Check{{"queue/kafka/group", "TestCommitIsFencedByLease"}},
		},
		{
			CommitAfterEnd, "commit-after-end", "a cursor commits after the end of its lease",
			[]Check{{"queue/kafka", "TestACursorThatIsOverCommitsNothing|TestALostLeaseCommitsNothing"}},
		},
		{
			CommitBack, "commit-back", "a commit below one that was sent before is sent",
			[]Check{{"queue/kafka/group", "TestCommitIsFencedByLease"}},
		},
		{
			EpochZero, "epoch-zero", "a commit names leader epoch 0, and other clients rewind after a change of leaders",
			[]Check{{"queue/kafka/wire", "TestCommitSendsNoLeaderEpoch"}},
		},
		{
			ForeignMap, "foreign-map", "a gap map is believed although it belongs to another place",
			[]Check{{"queue/kafka", "TestGapMapSaysNothingElsewhere"}},
		},
		{
			IgnoreDoubt, "ignore-doubt", "a process that was frozen past its session goes on as if it owned its partitions",
			[]Check{{"queue/kafka/group", "TestSuspensionIsDoubt|TestSilenceIsDoubt"}},
		},
		{
			NewOrigin, "new-origin", "a replayed message gets the id of its new place, not the one that it brought",
			[]Check{
				{"queue/nats", "TestAnOriginInTheHeadersWins"},
				{"queue/kafka", "TestConformanceOfFake/" + carried},
				{"queue/job", "TestConformance/" + carried},
				{"cmd", "TestStories/dlq_replay$"},
				{"cmd", "TestKafkaStories/dlq_replay$"},
			},
		},
		{
			LateAck, "late-ack", "a message of a stream that was made anew is acknowledged by the number of an old one",
			[]Check{{"queue/nats", "TestAnAckOfAnOldIncarnationDoesNotRemoveANewMessage"}},
		},
		{
			NoInProgress, "no-in-progress", "the server is not told that a message is still held",
			[]Check{{"queue/nats", "TestWhatIsHeldIsMarked"}, simulated},
		},
		{
			ForgetAcks, "forget-acks", "acknowledgements that a cut connection swallowed are not sent again",
			[]Check{{"queue/nats", "TestASilentConnectionIsReplaced"}},
		},
		{
			ForgetEnded, "forget-ended", "a redelivery of what has just ended is delivered as new",
			[]Check{{"queue/nats", "TestAnotherMessageAtAKnownSequenceEndsTheStrand"}},
		},
		{
			CheckpointAhead, "checkpoint-ahead", "a checkpoint says that what was handed out has ended",
			[]Check{{"queue/job", "TestAJobThatIsKilledAndStoppedDeliversAllAndCountsExactly"}},
		},
		{
			ResumeSkips, "resume-skips", "a job goes on one position behind where it was",
			[]Check{{"queue/job", "TestAJobThatIsKilledAndStoppedDeliversAllAndCountsExactly"}},
		},
		{
			ResumeForgets, "resume-forgets", "a job delivers again what its checkpoint knows to have ended",
			[]Check{{"queue/job", "TestAJobThatIsKilledAndStoppedDeliversAllAndCountsExactly"}},
		},
		{
			NoAheadLimit, "no-ahead-limit", "a job hands out without regard to the last checkpoint",
			[]Check{{"queue/job", "TestNoMoreIsHandedOutThanMayComeTwice"}},
		},
		{
			StaleConfirm, "stale-confirm", "what was asked before a doubt came up confirms that the consumer is the same",
			[]Check{{"queue/nats", "TestAnAnswerOfBeforeTheDoubtConfirmsNothing"}},
		},
		{
			SaveUnfencedDir, "save-unfenced-dir", "a checkpoint is saved in a directory that is another process's",
			[]Check{{"queue/job", "TestAHolderWhoseDirectoryWasDeletedHasLostTheShard"}},
		},
		{
			SaveUnfencedBucket, "save-unfenced-bucket", "a checkpoint is saved over that of the next holder of the shard in a bucket",
			[]Check{{"queue/nats/jobstate", "TestASaveOverAnotherClaimIsRefused"}},
		},
		{
			SaveUnfencedTopic, "save-unfenced-topic", "a holder that was taken for dead goes on saving in the topic of a job",
			[]Check{{"queue/kafka/jobstate", "TestASaveBehindAnotherClaimIsRefused"}},
		},
	}
}

// kinds are those of flushers: they say that something is durable that is not.
func kinds() []Defect {
	return []Defect{
		{
			FileEarly, "file-early", "the file flusher returns nil before it has written",
			[]Check{{"flushers/file", "TestConformance"}},
		},
		{
			FileNoSync, "file-no-sync", "the file flusher returns nil without a sync",
			[]Check{{"flushers/file", "TestAFileWhoseSyncFailedIsNeverTrustedAgain"}},
		},
		{
			HTTPEarly, "http-early", "the http flusher returns nil before the answer has come",
			[]Check{{"flushers/http", "TestConformance"}},
		},
		{
			NATSEarly, "nats-early", "the nats flusher returns nil before the stream has acknowledged",
			[]Check{{"flushers/nats", "TestConformance"}},
		},
		{
			ElasticItems, "elastic-items", "the elasticsearch flusher takes a bulk that was answered 200 for stored, whatever its items say",
			[]Check{{"flushers/elasticsearch", "TestEachLogHasItsAnswer"}},
		},
		{
			ResolveFirst, "resolve-first", "a replayed dead letter is resolved before the queue has confirmed it",
			[]Check{{"cmd", "TestALetterIsResolvedBehindItsPut|TestAQueueThatFailsEndsTheReplay"}},
		},
	}
}
