package queue

// Headers of ours on stored messages. Together they stay below 2 KiB.
const (
	HeaderPrefix    = "x-flushline-"
	HeaderVersion   = "x-flushline-version"    // of the letter format: "1"
	HeaderOrigin    = "x-flushline-origin"     // Origin in hexadecimal; wins over the position
	HeaderGroups    = "x-flushline-groups"     // original indexes of the groups, "0,3,7"
	HeaderTo        = "x-flushline-to"         // <deployment>/<route>/<flusher>
	HeaderHops      = "x-flushline-hops"       // replays of a dead letter so far
	HeaderMoves     = "x-flushline-moves"      // times a parked record was put again
	HeaderFirstSeen = "x-flushline-first-seen" // RFC 3339 with nanoseconds
	HeaderPart      = "x-flushline-part"       // chunk i/n, 1-based, of one message
	HeaderPartOf    = "x-flushline-part-of"    // which message: a random id, the same for its chunks
	HeaderWrapped   = "x-flushline-wrapped"    // "zstd": the stored value is compressed on top
	HeaderSubject   = "x-flushline-subject"    // NATS subject, Kafka topic or path that the original was read from
	HeaderWas       = "x-flushline-was-"       // prefix under which Nats-* headers are kept

	HeaderDamage = "x-flushline-damage" // why the value is no whole message: it becomes a dead letter, undecodable

	HeaderReason   = "x-flushline-reason"   // class of a dead letter
	HeaderError    = "x-flushline-error"    // at most 1 KiB of text
	HeaderAttempts = "x-flushline-attempts" //
	HeaderSource   = "x-flushline-source"   // strand and position
	HeaderWorker   = "x-flushline-worker"   // version and host
)
