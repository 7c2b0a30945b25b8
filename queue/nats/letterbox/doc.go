// Package letterbox reads the dead letters of a JetStream consumer back.
//
// Letters are read as package history reads a range of a stream, up to the sequence that
// was the last when it began: without a durable, and without an end to wait for where
// messages were deleted. A letter is resolved by deleting its messages, the first chunk
// last: what a crash leaves of it still says which letter it was.
//
// A sequence names another letter once the stream was deleted and made anew. So the
// stream's creation is confirmed before messages are deleted, and again each second: in
// that second a recreation can go unnoticed, if as many letters as before are in the new
// stream by then.
//
// The user needs the rights that package history names, and STREAM.MSG.DELETE.
package letterbox
