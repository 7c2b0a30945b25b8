package all

import "github.com/flushline/flushline/flushers"

// system are the kinds that only Linux has: none so far.
func system() []flushers.Kind { return nil }
