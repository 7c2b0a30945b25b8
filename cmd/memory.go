package cmd

import "runtime/debug"

const (
	// What the process needs beside its two pools is 64 MiB. The collector is told less:
	// it knows nothing of the pages of the program's own file.
	memoryHeadroom = 40 << 20
	embeddedServer = 192 << 20
	gcPercent      = 400
)

// boundMemory tells the garbage collector what the pools allow, so that rare
// collections cannot grow the process beyond its budget. Who sets GOMEMLIMIT or
// GOGC keeps what was set. It returns up to which GOGC a worker may go.
func boundMemory(env func(string) (string, bool), budget int64) (percent int) {
	if v, ok := env("GOMEMLIMIT"); !ok || v == "" {
		debug.SetMemoryLimit(budget + memoryHeadroom)
	}
	if v, ok := env("GOGC"); !ok || v == "" {
		debug.SetGCPercent(gcPercent)
		return gcPercent
	}
	return 0
}
