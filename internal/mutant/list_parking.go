package mutant

func kafka(run string) Check { return Check{"queue/kafka", run} }

// parking are those of what waits for a dead destination.
func parking() []Defect {
	return []Defect{
		{
			ParkUnstored, "park-unstored", "a part counts as parked although the companion refused it",
			[]Check{worker("TestAFailingCompanionWithholdsTheAcknowledgement"), worker("TestChaos")},
		},
		{
			DeferAcks, "defer-acks", "a parked record that its lane did not take is acknowledged",
			[]Check{worker("TestADeadDestinationParksAndEverythingArrivesWhenItIsBack"), worker("TestChaos")},
		},
		{
			ProbeStorm, "probe-storm", "a blocked lane is tried with everything that comes",
			[]Check{worker("TestProbesAreRare"), worker("TestParkingMachine")},
		},
		{
			ServeShut, "serve-shut", "the gate of a lane is open although it has not delivered since it failed",
			[]Check{worker("TestParkingMachine")},
		},
		{
			TryEnds, "try-ends", "a parked record that its lane did not take between two sweeps counts as ended",
			[]Check{kafka("TestARefusedTryStaysParked")},
		},
		{
			TryUnsaved, "try-unsaved", "what lanes took between two sweeps is not committed when the lease ends",
			[]Check{kafka("TestATryBeforeTheStopIsCommitted|TestATryThatEndsWithTheStopIsCommitted")},
		},
		{
			TailUnseen, "tail-unseen", "lanes whose records lie behind what a sweep got to wait for the next one",
			[]Check{kafka("TestWhatWasPutAgainIsTriedBetweenSweeps")},
		},
		{
			SurplusUncounted, "surplus-uncounted", "a lane beyond `limits.lanes` goes, with its counts, before what it parks is stored",
			[]Check{worker("TestALaneBeyondTheLimitIsOneAsAnyInTheEnd")},
		},
		{
			SurplusStays, "surplus-stays", "a lane beyond `limits.lanes` parks what comes although there is room for it",
			[]Check{worker("TestALaneBeyondTheLimitIsOneAsAnyInTheEnd")},
		},
		{
			CrowdWaits, "crowd-waits", "a dead lane that keeps its strand from being fetched has all of `park_after`",
			[]Check{worker("TestALaneThatCrowdsItsStrandIsBlockedSooner")},
		},
		{
			BlockForgets, "block-forgets", "a lane that is blocked forgets the batches that it was to try again",
			[]Check{worker("TestALaneThatCrowdsItsStrandIsBlockedSooner")},
		},
		{
			IdleForgotten, "idle-forgotten", "a lane that is stopped for being idle forgets that it is blocked",
			[]Check{worker("TestABlockedLaneThatWasIdleIsStillBlocked"), worker("TestIdleBlockedLanesAreNoStorm")},
		},
		{
			IdleShut, "idle-shut", "a blocked lane that was stopped for being idle is never tried with what is parked",
			[]Check{worker("TestIdleBlockedLanesAreNoStorm")},
		},
		{
			TurnLeak, "turn-leak", "what was parked counts for ever as waiting to be",
			[]Check{worker("TestWhatWaitsToBeParkedIsBounded")},
		},
		{
			TurnUnbounded, "turn-unbounded", "a strand is read although what it has to park comes faster than it is parked",
			[]Check{worker("TestWhatWaitsToBeParkedIsBounded")},
		},
	}
}
