// Package ledger follows single logs through a worker, from the outside.
//
// [Produce] publishes LogGroups whose logs carry an id and a checksum of
// themselves, and writes to a [Journal] what it tried and what the broker
// confirmed. [Read] goes through the files that a flusher left behind. [Judge]
// compares the two: what was confirmed and is nowhere is lost, what is there and
// was never tried is spurious, what does not match its checksum is corrupt, what
// is there more often than once is a duplicate.
//
// An id whose confirmation did not arrive may be stored or not: it is neither
// lost when it is missing nor spurious when it is there.
package ledger
