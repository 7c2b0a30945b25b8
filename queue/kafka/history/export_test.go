package history

import "time"

// SetTail shortens how long a log may end within a range.
func (in *Input) SetTail(d time.Duration) { in.tail = d }
