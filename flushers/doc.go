// Package flushers is the contract between the worker and a destination: what a
// [Flusher] promises, what a [Kind] declares, and how errors say what to do next.
// docs/WRITING-A-FLUSHER.md is the guide; the built-in kinds are the packages
// below this one, listed in flushers/all.
package flushers
