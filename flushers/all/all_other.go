//go:build !linux && !windows

package all

import "github.com/flushline/flushline/flushers"

// system are the kinds of the remaining systems: none so far.
func system() []flushers.Kind { return nil }
