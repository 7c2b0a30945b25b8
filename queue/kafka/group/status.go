package group

import "time"

// Status is what a member knows of itself.
type Status struct {
	Joined     bool   // has an assignment of the current or the last generation
	Member     string // the id that the coordinator gave; empty before the first answer
	Generation int32  // of the last completed round; -1: none
	Leading    bool   // planned that round

	Coordinator string // host:port; empty while it is looked for
	Rebalances  int64  // rounds completed after the first

	Leases, Draining int // Draining of the Leases are being given up

	// Confirmed is when the last request was sent that the coordinator answered as
	// to a member; zero: none yet. Doubtful: see Lease.Doubtful.
	Confirmed time.Time
	Doubtful  bool

	// Err is what keeps the member from being well, nil if nothing does, and
	// Since when it began.
	Err   error
	Since time.Time
}
