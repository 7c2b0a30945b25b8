// Package all is the list of the built-in flusher kinds: the one place to look
// which there are. A program with kinds of its own appends them to Kinds.
//
// A kind of every system stands in everywhere. One of a single system stands in
// system of all_linux.go or all_windows.go, with OS set, and without New in
// elsewhere: so that only its system compiles it, and the others know its name.
package all

import (
	"slices"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/blackhole"
	"github.com/flushline/flushline/flushers/elasticsearch"
	"github.com/flushline/flushline/flushers/file"
	"github.com/flushline/flushline/flushers/http"
	"github.com/flushline/flushline/flushers/kafka"
	"github.com/flushline/flushline/flushers/nats"
	"github.com/flushline/flushline/flushers/stdout"
)

// Kinds are those of every system, those of this one, and without New those of
// other systems, which a configuration can name but not use here.
func Kinds() []flushers.Kind {
	return slices.Concat(everywhere(), system(), absent(elsewhere()))
}

func everywhere() []flushers.Kind {
	return []flushers.Kind{
		blackhole.Kind(),
		elasticsearch.Kind(),
		file.Kind(),
		http.Kind(),
		kafka.Kind(),
		nats.Kind(),
		stdout.Kind(),
	}
}

// elsewhere are the kinds of single systems, all of them, as they describe
// themselves but without New: none so far.
func elsewhere() []flushers.Kind { return nil }

// absent leaves out the kinds that this system has.
func absent(single []flushers.Kind) []flushers.Kind {
	return slices.DeleteFunc(slices.Clone(single), func(k flushers.Kind) bool { return k.Available() })
}
