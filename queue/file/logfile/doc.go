// Package logfile reads files with logs as slices of a job: local ones and objects
// of an S3 bucket.
//
// # Finding
//
// [Find] takes paths: files, directories with all that is below them, patterns, and
// s3://bucket/prefix. What it finds comes in one order, each file once, without ever
// being in memory as a whole (of a local directory the names in it are). A symbolic
// link is followed where it is named, and passed over where a walk meets it, as is
// what is no regular file.
//
// The name below the root of a file is its subject, with slashes: the part of its
// name behind the directory that was named, behind the last directory of a pattern
// without a wildcard, or behind the last slash of an S3 prefix. Of a file that was
// named itself it is the last component.
//
// # Reading
//
// A file is a stream of bytes, decompressed if it begins like gzip or zstd, several
// members or frames included. Positions are offsets in that stream; what was read of
// a compressed file is decompressed again by a later start. What the stream holds
// follows from its first bytes, else from the name, unless the options say it:
//
//   - Lines of JSON in any of the shapes that collectors write, or of text. Lines in a
//     row make one message of at most 256 KiB and 1,000 lines; a longer line is one
//     alone. Empty lines are passed over; CRLF and a byte order mark are no content.
//     The position of a message is that of its first line, so a line that holds
//     several groups has one.
//   - Frames, as the file flusher writes them. Each is a message with the key and the
//     id that it carries.
//   - LogGroup, LogGroupList, SLS packages, and JSON that is one value over many
//     lines: read as a whole, up to a limit. Groups in a row make messages of about
//     256 KiB. Their positions count groups, as they have no place in the file.
//
// Where messages begin depends on the content from the position where reading began,
// and on no setting but the format, so that a later start finds the same ones.
//
// # Damage
//
// What cannot be read is a message of its own with queue.HeaderDamage, whose value is
// the bytes at that place, at most 64 KiB, and a job.Damage. A bad line, or a line longer than
// max_line, is one by itself. A bad frame reaches to the next one whose head is right.
// Where a compressed stream breaks off, all lines and frames before are delivered and
// the rest is damage, the line that was broken off included.
package logfile
