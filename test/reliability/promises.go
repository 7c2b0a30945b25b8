package main

// promise is something that users can rely on, and what shows it.
type promise struct {
	ID, Text string
	Runs     []string // names of runs of internal/proof
	Tests    []string // DIRECTORY.TestName, of those that run in every `make`
}

// promises are those of README.md and docs/DESIGN.md, section 1.
var promises = []promise{
	{
		"at least once", "A message is acknowledged only when each of its parts was flushed, is durably parked or in the dead letter queue, or was skipped for a counted reason. Whatever ends a worker, and whenever: no record is lost.",
		[]string{"kills-random", "kills-placed", "crash", "sim-nats", "sim-kafka", "mutants"},
		[]string{"test/e2e.TestKillsRandom", "worker.TestChaos"},
	},
	{
		"clean stops", "SIGTERM ends a worker within its drain limit. When what it held can be flushed within it, nothing comes twice.",
		[]string{"clean-restarts", "upgrade"},
		[]string{"test/e2e.TestCleanRestarts"},
	},
	{
		"bounded duplicates", "After a kill no more comes twice than docs/DESIGN.md, section 6, says: on NATS what the worker held, at most its window; on Kafka the span, and what ended since the last commit.",
		[]string{"kills-random", "kills-placed", "crash"},
		nil,
	},
	{
		"one cursor, moved by its owner", "The committed offset of a partition is below everything that has not ended, and a worker whose lease is over commits nothing.",
		[]string{"sim-kafka", "machines", "mutants"},
		nil,
	},
	{
		"brokers come and go", "A broker that restarts, is killed, or loses its leader or coordinator costs time, never records: flow comes back by itself.",
		[]string{"nats-restart", "kafka-coordinator", "sim-nats", "sim-kafka", "soak"},
		nil,
	},
	{
		"networks break", "Connections that are slow, cut, reset, silent in one direction, half closed or that change bytes end no worker and lose nothing.",
		[]string{"net-faults", "sim-nats", "sim-kafka"},
		nil,
	},
	{
		"another takes over", "After kill -9 of a worker its messages flow again: on NATS after the ack wait, on Kafka after session timeout, heartbeat and a second.",
		[]string{"worker-kill-recovery"},
		nil,
	},
	{
		"one dead destination costs only itself", "A destination that takes nothing costs its own lanes only: with `when_blocked: park` for as long as it lasts, and what is for it is delivered when it is back, whatever happens to workers, brokers and companions meanwhile.",
		[]string{
			"parking", "crash", "isolation-long-nats", "isolation-long-kafka", "isolation-nats", "isolation-kafka",
			"isolation-cost-nats", "isolation-cost-kafka", "isolation-lanes-nats", "isolation-lanes-kafka",
		},
		[]string{"test/e2e.TestParking"},
	},
	{
		"full disks", "A disk that is full holds up what has to be written to it, says so, and goes on when there is space. No record is torn.",
		[]string{"disk-full"},
		nil,
	},
	{
		"destinations keep what they confirmed", "A kind of flusher says nil when its real server has the data: a hundred thousand groups from each queue arrive complete while workers and that server are killed, and once where the kind declares per-group or per-log.",
		[]string{
			"destination-http-nats", "destination-http-kafka", "destination-kafka-nats", "destination-kafka-kafka",
			"destination-nats-nats", "destination-nats-kafka", "destination-opensearch-nats", "destination-opensearch-kafka",
			"destination-elasticsearch-nats", "destination-elasticsearch-kafka",
		},
		nil,
	},
	{
		"clocks", "A clock that is set forward or back loses nothing.",
		[]string{"clock"},
		nil,
	},
	{
		"the equation", "received = flushed + dead-lettered + parked + skipped + released + in flight, per source, in every snapshot of a worker. Nothing is dropped in silence.",
		[]string{"soak", "kills-random", "machines"},
		[]string{"worker.TestChaos"},
	},
	{
		"long runs", "Goroutines, descriptors and memory go back to where they were when the load ends, whatever happened meanwhile.",
		[]string{"soak"},
		nil,
	},
	{
		"bad input", "Nothing that can be read from a queue, a file, a configuration or a destination's answer ends the program or makes it use memory without bound.",
		[]string{"fuzz"},
		nil,
	},
	{
		"upgrades", "Two versions that follow each other work in one group, and on one durable, at the same time.",
		[]string{"upgrade"},
		nil,
	},
	{
		"a proof that can fail", "Defects that lose, repeat or hide records, planted on purpose, are each seen by the checks that are there to see them.",
		[]string{"mutants"},
		nil,
	},
}
