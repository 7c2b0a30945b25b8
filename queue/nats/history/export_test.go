package history

import "time"

// BelieveAfter shortens how long a stream that became shorter is doubted.
func (in *Input) BelieveAfter(d time.Duration) { in.short = d }
