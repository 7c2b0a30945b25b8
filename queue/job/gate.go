package job

import "github.com/flushline/flushline/queue"

// Gate holds reading back: at a rate, or for as long as somebody says. One gate
// serves all slices of a process.
type Gate struct{}

// NewGate makes an open gate. groups and bytes are per second; 0: no limit. count
// says how many groups a message holds; it is called only with a limit of groups.
func NewGate(groups, bytes float64, count func(*queue.Message) int) *Gate { return &Gate{} }

// Close holds reading back from now on; why is shown by the strands' status.
func (g *Gate) Close(why string) {}

// Open lets it go on.
func (g *Gate) Open() {}
