// Package file keeps dead letters in files of a directory, for deployments that
// have no place for them at their broker: `dead_letter: {file: DIR}`.
//
// # Durability
//
// Put returns after the letters are on the disk (fsync), or with an error.
//
// # Files
//
// Each process writes files of its own, letters-<time>-<host>-<random>.fll, and
// never appends to a file it did not make. Several workers may therefore share a
// directory, and what a crash left half written stays at the end of a file where
// every reader finds it: such a torn letter was never confirmed, so its message
// was not acknowledged and comes again.
//
// A file is 8 bytes of magic followed by records: length of the body and CRC-32C
// of the body (4 bytes each, little endian), then the body. The body is the time
// at which it was stored (8 bytes, nanoseconds since 1970), the subject, the message key, the number of
// headers, each header's key and value, and the value; texts are preceded by
// their length as a varint, the value is the rest. Behind the last letter of a file
// whose writer ended it are "flushend" and 4 bytes of checksum. A file takes no letters
// when it is a day old, so that one whose writer crashed can be told from one that is
// written on another machine.
//
// Which letters are resolved is in a file beside it, <file>.done: for each 16 bytes,
// "done", its offset (8 bytes, little endian) and the CRC-32C of these 12.
package file
