// Package ledger follows single logs through a worker, from the outside.
//
// [Produce] publishes LogGroups whose logs carry an id and a checksum of
// themselves, and writes to a [Journal] what it tried and what the broker
// confirmed. [Read] goes through the files that a flusher left behind, [ReadStream]
// through a JetStream stream, and package kafka through a topic. [Judge] or a [Count]
// compares the two: what was confirmed and is nowhere is lost, what is there and
// was never tried is spurious, what does not match its checksum is corrupt, what
// is there more often than once is a duplicate.
//
// An id whose confirmation did not arrive may be stored or not: it is neither
// lost when it is missing nor spurious when it is there.
//
// Beside that verdict stand how far logs came out of order ([Reorder]) and how long
// after a fault something newer arrived ([Recovery]). A [Scraper] meanwhile holds what
// workers say of themselves to their accounting identity, and a [Report] sums up.
package ledger
