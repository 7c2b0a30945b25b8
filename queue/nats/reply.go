package nats

// position is what the reply subject of a JetStream delivery says.
type position struct {
	attempt  int    // deliveries so far, this one included
	stream   uint64 // sequence in the stream
	delivery uint64 // number among the consumer's deliveries
	time     int64  // when the stream stored it, Unix nanoseconds
}

const ackPrefix = "$JS.ACK."

// parseReply reads the two forms of an acknowledgement subject:
//
//	$JS.ACK.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<time>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<time>.<pending>[...]
//
// It is false for anything else. It allocates nothing.
func parseReply(s string) (position, bool) {
	if len(s) < len(ackPrefix) || s[:len(ackPrefix)] != ackPrefix {
		return position{}, false
	}
	var ends [16]int // where each token ends
	n := 0
	for i := len(ackPrefix); i < len(s) && n < len(ends)-1; i++ {
		if s[i] == '.' {
			ends[n] = i
			n++
		}
	}
	ends[n] = len(s)
	n++
	first := 2 // the token that counts deliveries
	switch {
	case n == 7:
	case n >= 9:
		first = 4
	default:
		return position{}, false
	}
	number := func(token int) (uint64, bool) { return parseNumber(s[ends[token-1]+1 : ends[token]]) }
	attempt, ok1 := number(first)
	seq, ok2 := number(first + 1)
	delivery, ok3 := number(first + 2)
	ts, ok4 := number(first + 3)
	return position{attempt: int(attempt), stream: seq, delivery: delivery, time: int64(ts)}, ok1 && ok2 && ok3 && ok4 && seq > 0
}

func parseNumber(s string) (n uint64, ok bool) {
	if s == "" || len(s) > 19 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	return n, true
}
