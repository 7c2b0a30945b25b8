// Package all is the list of the built-in flusher kinds: the one place to look
// which there are. A program with kinds of its own appends them to Kinds.
package all

import (
	"slices"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/blackhole"
	"github.com/flushline/flushline/flushers/file"
	"github.com/flushline/flushline/flushers/http"
	"github.com/flushline/flushline/flushers/stdout"
)

// Kinds are those of every system and those of this one.
func Kinds() []flushers.Kind {
	return slices.Concat(everywhere(), system())
}

func everywhere() []flushers.Kind {
	return []flushers.Kind{
		blackhole.Kind(),
		file.Kind(),
		http.Kind(),
		stdout.Kind(),
	}
}
