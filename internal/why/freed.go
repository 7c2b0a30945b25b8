// Package why answers "why is this not moving" from one snapshot of a worker: what
// stands, which message it holds, and what would free it.
package why

import (
	"strings"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// Sentences are what would free a lane or strand, by its state. docs/OPERATIONS.md has
// each word for word, with the names in braces as Generic says them.
type Sentences map[string]string

// Lanes are the states of lanes.
var Lanes = Sentences{
	worker.LaneIdle:          "nothing has to: it has nothing to do",
	worker.LaneQueued:        "wait: its turn comes by itself; for long, give the machine more CPU",
	worker.LaneBatching:      "wait: its batch is closed when it is full, {closes} at the latest",
	worker.LaneStarting:      "wait: Init ends within 30s, or is given up and tried again",
	worker.LaneFlushing:      "wait: the destination of {flusher} answers, or the call is given up {timeout} and its batch tried again; for long, look why it does not answer",
	worker.LaneUnready:       "mend the destination of {flusher}, or wait for it: the lane goes on within 500ms of its return",
	worker.LaneBackoff:       "mend the destination of {flusher}, or {option} and `flushline reload`: it is tried again {next}, for ever",
	worker.LaneMisconfigured: "mend {option} and `flushline reload`, which tries it at once, or mend the destination: it is tried again {next}",
	worker.LaneWorkWait:      "wait: other batches give back what they hold of {work}; for long, mend the slow destinations or raise it",
	worker.LaneWedged:        "mend the destination of {flusher}, which answers no call; only a restart gives up the calls that hang",
	worker.LaneHolding:       "mend the data, format or table that the error names, then `flushline resume`; `flushline dlq ls -c FILE` shows what became dead letters",
	worker.LaneLettering:     "bring back {letters}, or make room there: nothing is acknowledged until it takes the dead letters",
	worker.LanePaused:        "{resume}",
	worker.LaneRateLimited:   "wait: it goes on {next}, when {rate} allows more; if it lags, raise that",
	worker.LaneParking:       "with a phase, what that says; else bring back {parked}, or make room there: what the lane holds waits to be stored",
}

// Suspects are the phases of batches of which it is not clear whether the data or the
// destination is to blame.
var Suspects = Sentences{
	worker.SuspectSuspected: "nothing has to: it is tried again; if the error speaks of the destination, look there",
	worker.SuspectHalving:   "nothing has to: halves of it are tried until the poison is found",
	worker.SuspectAlone:     "nothing has to: once or twice more, and it is a dead letter that says why",
	worker.SuspectPausing:   "look at the destination of {flusher}; if it is well, the lane has no other traffic, and goes on with the next",
	worker.SuspectHanging:   "nothing has to: its groups are sent one by one; calls that hang are given up by a restart",
}

// Phases are those of lanes that park.
var Phases = Sentences{
	worker.ParkBlocked:    "mend the destination of {flusher}, or {option} and `flushline reload`: it is tried {next}; nothing is urgent while {parked} has room, and `flushline parked ls -c FILE` shows what waits",
	worker.ParkRecovering: "wait: tries follow each other, and 10s without a failure open it",
	worker.ParkOverflow:   "give the destination of {flusher} more capacity, or let it lag: what is parked is delivered beside what comes",
	worker.ParkNoLane:     "raise {lanes}, or mend {busiest}",
}

// Strands are the states that a worker gives them.
var Strands = Sentences{
	"fetching":             "nothing has to: it is read",
	"window_full":          "mend what {blockers} wait for, or write `when_blocked: park` in {route}, which lets the others go on",
	"share_of_budget_used": "mend what {blockers} wait for; if nothing is blocked, raise {in_flight}",
	"budget_exhausted":     "mend what {blockers} wait for, or raise {in_flight}",
	"lanes_exhausted":      "raise {lanes}, or mend {busiest}",
	"parking_behind":       "wait: {parked} takes what it can; for long, mend the blocked destinations, or let more pods share the work",
	"paused":               "{resume}",
	"draining":             "wait: `drain.timeout` ends it, and what has not ended goes back to the queue",
	"stopped":              "give dead letters a place with {dead_letter} and restart, or mend the cause and `flushline resume`",
}

// Sources are the states that a source gives its strands.
var Sources = Sentences{
	queue.StateConsuming:           "nothing has to: it is read",
	queue.StateJoining:             "wait: it is being joined; for long, `flushline check -c FILE --connect`",
	queue.StateBrokerAway:          "bring back {source}, or the network to it: it is tried for ever, and what is held is flushed meanwhile",
	queue.StateAckPendingExhausted: "wait for `ack_wait`, when what dead pods held comes back, or raise max_ack_pending: `flushline setup -c FILE --update`",
	queue.StateMissing:             "`flushline setup -c FILE` makes it again; if it was deleted on purpose, stop the workers",
	queue.StateTopicMissing:        "`flushline setup -c FILE`, or correct {topics}; if CAUSE says what could not be asked, mend that",
	queue.StateStalled:             "mend what CAUSE says; transactions that stay open are the usual one",
	queue.StateRefused:             "`flushline check -c FILE --connect` names the right and the command that grants it",
	queue.StateMisconfigured:       "run the command that CAUSE has",
	queue.StateEnded:               "nothing has to: it was read to its end, or is no longer ours",
}

// generic says what a name in braces stands for where nothing is known of it.
var generic = facts{
	"blockers":    "the lanes in BLOCKED BY",
	"busiest":     "the destinations that keep lanes busy",
	"closes":      "after `batch.wait`",
	"dead_letter": "`dead_letter`",
	"flusher":     "its flusher",
	"in_flight":   "`limits.in_flight`",
	"lanes":       "`limits.lanes`",
	"letters":     "the companion for dead letters",
	"next":        "at NEXT TRY",
	"option":      "the option that the error is about",
	"parked":      "the companion for parked records",
	"rate":        "its `rate`",
	"resume":      "`flushline resume` of the same target",
	"route":       "their routes",
	"source":      "the broker",
	"timeout":     "behind `flush_timeout`",
	"topics":      "`topics`",
	"work":        "`limits.work`",
}

// facts are what names in braces stand for.
type facts map[string]string

// fill puts in what is known, and for the rest what Generic says.
func fill(sentence string, known facts) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(sentence, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		if text := known[name]; text != "" {
			b.WriteString(text)
		} else {
			b.WriteString(generic[name])
		}
		sentence = after
	}
}

// Generic is the sentence of a state as docs/OPERATIONS.md has it.
func (s Sentences) Generic(state string) string { return fill(s[state], nil) }

// Generic is what a name in braces stands for where nothing is known.
func Generic(name string) string { return generic[name] }
