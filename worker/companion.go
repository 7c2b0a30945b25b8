package worker

import "time"

// CompanionStatus is what is parked beside a source, as its broker counted it a moment
// ago.
type CompanionStatus struct {
	Source   string       `json:"source"`
	Messages int64        `json:"messages"`
	Lanes    []ParkedLane `json:"lanes,omitempty"` // the largest first; at most MaxLanes
	Places   int          `json:"places"`          // how many there are
	Asked    time.Time    `json:"asked"`
	Error    string       `json:"error,omitempty"` // why a newer answer is missing
}

// ParkedLane is what is parked for a lane, or on Kafka in a partition, which has no key.
type ParkedLane struct {
	Route    string    `json:"route"`
	Flusher  string    `json:"flusher"`
	Project  string    `json:"project,omitempty"`
	Logstore string    `json:"logstore,omitempty"`
	Config   string    `json:"config,omitempty"`
	Messages int64     `json:"messages"`
	Oldest   time.Time `json:"oldest,omitzero"` // when it was parked
	Place    string    `json:"place"`           // a subject, or topic and partition
}
