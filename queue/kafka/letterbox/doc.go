// Package letterbox reads the dead letter topics of Kafka, and keeps in a topic beside
// each which letters are resolved.
//
// Kafka deletes no single record. A letter that needs nothing more gets a mark in the
// compacted topic <topic>.<group>.dlq.done, which is read first and subtracted from what
// lies in <topic>.<group>.dlq. A box joins no group and commits nothing: it reads each
// partition up to the end that it had when reading began.
//
// # Marks
//
// A letter has one mark, which names all of its records, so it is resolved or not,
// whenever the process ends. The key is
//
//	<partition>/<offset>/<timestamp>/<id of the topic>
//
// of the letter's first record. Where the topic was deleted and made anew, a letter may have
// the offset of an old one, and neither its timestamp nor its id: it is not taken for done.
// Brokers before 2.8 know no ids; marks from then, with - instead, count later, too.
// A letter counts as resolved only if its mark names every record that it is made of
// now: of a put that somebody forgot while it was being tried again, the rest is shown.
//
// # Space
//
// Free deletes each partition up to its oldest open letter, and no letter by half. The
// marks of what was deleted go too, but not at once: a broker that loses its power may
// find records that were deleted a moment before. So Free notes up to where it has
// deleted, and what lies below such a note has its mark removed only when the note is
// old enough.
package letterbox
