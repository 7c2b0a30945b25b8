package main

// stepMachine is a test that draws its steps, see package internal/steps.
type stepMachine struct {
	name   string
	pkg    string // below the module
	test   string
	runs   int // of the test: rapid stops after a day, and in a bubble days are short
	checks int // sequences of steps in each
}

// machines is every one of them. Their sizes give each some seconds on one core.
var machines = []stepMachine{
	{"watermark", "queue", "TestWatermarkIsTheModels", 1, 3000},
	{"gap map and hand-overs", "queue/kafka", "TestHandOvers", 1, 1000},
	{"leases of a group", "queue/kafka/group", "TestGroupsInAWildWorld", 1, 1000},
	{"balance of a group", "queue/kafka/group", "TestTwoRoundsSettle", 1, 5000},
	{"budget of bytes as received", "worker", "TestHeldPoolServesInOrderAndConservesBytes", 1, 10000},
	{"budget of decoded bytes", "worker", "TestWorkPoolLosesNoTurn", 1, 10000},
	{"ready gate", "worker", "TestTheReadyGate", 5, 1000},
	{"retry", "worker", "TestRetries", 3, 1000},
	{"guard of dead letters", "worker", "TestTheGuard", 1, 50000},
	{"poison", "worker", "TestDoubts", 1, 20000},
	{"drain", "worker", "TestDrains", 3, 1000},
	{"parking", "worker", "TestParkingMachine", 1, 20000},
	{"sweep of parked records", "queue/kafka", "TestSweepKeepsEveryRecord", 1, 5000},
	{"reload", "worker", "TestReloadsLoseAndDuplicateNothing", 1, 1000},
	{"what is held of NATS", "queue/nats", "TestTheBook", 1, 3000},
	{"pulls of NATS", "queue/nats", "TestPullsBalance", 1, 50000},
	{"log of a job's shard", "queue/kafka/jobstate", "TestCompactionChangesNothing", 1, 20000},
}
