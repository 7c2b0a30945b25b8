// Package record reads record sets: the bytes in which a Kafka broker hands out
// the log of a partition. It is pure: bytes in, records out, no connection and no
// clock.
//
// A set is a run of record batches, exactly as they lie in the broker's log. That
// is why a reader has to know more than the layout of a record:
//
//   - The broker sends whole batches, so a set may begin with records before the
//     offset that was asked for; and it cuts the last one where its limit falls.
//   - Offsets have holes: compaction removes records and keeps the batch, even when
//     nothing is left in it; transactions leave markers that no application ever
//     wrote. The next offset to ask for is therefore the last offset of the last
//     whole batch plus one, whether or not a single record came out of it. Who asks
//     for "last record plus one" stands still for ever at a log that ends with a
//     marker.
//   - With read_committed the broker sends aborted records too, with a list of the
//     transactions that were aborted. Leaving them out is the reader's work.
//   - A compressed batch of a few kilobytes may hold gigabytes.
//   - The checksum covers a batch from its attributes on, not the base offset, the
//     length and the leader epoch before them. See Decoder.Decode for what is done
//     about that.
//
// # Memory
//
// An uncompressed batch is read where it lies. A compressed one is decompressed as
// a stream through a pooled buffer that holds one record at a time, grown only as
// bytes arrive, never because a length word says so. What does not fit into
// Decoder.Max is handed out compressed (Record.Wrapped).
//
// gzip and lz4 are kafka-go's codecs. zstd and snappy are read with the same
// libraries that kafka-go uses, but not through it: its zstd reader allocates the
// window that a frame claims, up to 512 MiB for a frame of twenty bytes, and its
// snappy reader allocates the length that a frame claims, up to 4 GiB. Here a
// window is at most 128 MiB, as with Kafka's own consumer, and a snappy block is at
// most twice Decoder.Max, its claim checked against what its length makes possible.
//
// # Sources
//
// Apache Kafka documentation, "Message Format" (record batch, record, control
// batch, and the message sets of magic 0 and 1 before them); KIP-98 (transactions,
// magic 2, control batches), KIP-32 (timestamps and their types, magic 1), KIP-31
// (relative offsets in compressed message sets), KIP-74 (limits of a fetch answer,
// whole first batch), KIP-82 (headers), KIP-110 (zstd), KIP-534 (delete horizon).
// Snappy's framing in Kafka is that of snappy-java.
package record
