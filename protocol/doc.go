// Package protocol is the payload: the LogGroup types, their protobuf form, how
// values on a queue are encoded, and the forms flushers write.
//
// # Two passes
//
// [Payload.Scan] runs once per message: it decompresses, turns what is no LogGroup
// protobuf (JSON, packages, text: see [Format]) into it, checks the framing of every
// field, counts and finds the groups, under [Limits]. Whether a value can be decoded
// is decided there and nowhere else. [Group.Decode] runs later, where
// the group is needed: it fills exactly sized slabs whose strings alias the
// scanned bytes, in at most six allocations, and cannot fail.
//
// # Wire format
//
// sls_logs.proto beside this file (proto2) is the format iLogtail's Go code
// writes with gogofaster. [LogGroup.Marshal] gives the same bytes: required
// fields always, the four strings of a LogGroup always, the rest when present.
// Readers take what protobuf readers take, with three differences: a missing
// required field is counted instead of refused, a known field with a foreign
// wire type is refused (as gogofaster does) instead of skipped, and unknown
// groups nest at most 64 deep.
//
// # Text
//
// [AppendJSONLog] writes logs as JSON, in a form that [FormatJSON] reads, and
// [Template] makes names of paths, topics and indexes out of a key, a host, the
// log's time, tags and contents.
package protocol
