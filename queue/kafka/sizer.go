package kafka

// How much is asked for: a request costs bytes of the budget before anything is
// known of its answer.
const (
	leastAsk = 256 << 10 // bytes of the budget for one request, unless its strands want less
	mostAsk  = 3 << 20   // bytes of the budget for one request; its answer fits a buffer that is used again
	mostSet  = 1 << 20   // bytes in the log of one partition in one answer
	leastSet = 16 << 10  // below, an answer would be mostly its own framing

	// A whole batch of well compressed messages is mostly less than this: cut, it
	// would have to be fetched and decompressed again.
	leastEnough = 4 << 20

	largestSet = 256 << 20 // a batch that is larger than this cannot be read
)

// scale says how the bytes of a partition's log become bytes held: compression
// makes them more, and so do many small messages.
type scale struct {
	message float64 // bytes held by one message
	ratio   float64 // bytes held for one byte in the log
	least   int64   // bytes in the log to ask for at least; 0 nearly always
}

// newScale is a guess for a partition of which nothing is known.
func newScale() scale { return scale{message: 4 << 10, ratio: 2} }

// learn takes over what one answer of n messages had, half as much as it knew.
func (c *scale) learn(n int, held int64, inLog int) {
	if n == 0 || inLog <= 0 {
		return
	}
	c.message += (float64(held)/float64(n) - c.message) / 2
	c.ratio = max(1, c.ratio+(float64(held)/float64(inLog)-c.ratio)/2)
}

// wish is what one strand wants of a request.
type wish struct {
	held  int64 // bytes held
	inLog int64 // bytes in the log
	need  int64 // of inLog: less brings nothing; 0 nearly always
}

// windowLeftLocked is how many messages may come before as many are unsettled or
// buffered as the window allows.
func (s *strand) windowLeftLocked() int {
	return s.src.opt.Window - int(s.unsettled.Load()) - len(s.in)
}

// wish is what fits into the room, at least one small set.
func (s *strand) wish() wish {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := s.demand.room
	held := float64(room.Bytes - s.inBytes)
	messages := min(room.Messages-len(s.in), s.windowLeftLocked())
	held = min(held, float64(messages)*s.scale.message)
	inLog := max(min(max(int64(held/s.scale.ratio), leastSet), mostSet), s.scale.least)
	return wish{held: int64(float64(inLog) * s.scale.ratio), inLog: inLog, need: s.scale.least}
}

// sizer grows the requests of one loop with its traffic.
type sizer struct{ target int64 }

// most is how many bytes of the budget the next request may take.
func (z *sizer) most(asking []*strand) (most int64) {
	for _, s := range asking {
		most += s.wish().held
	}
	return min(max(most, leastAsk), max(z.target, leastAsk), mostAsk)
}

// used says how much of what was asked for an answer had.
func (z *sizer) used(asked, got int64) {
	switch {
	case got >= asked/2:
		z.target = min(2*max(z.target, leastAsk), mostAsk)
	case got < asked/8:
		z.target = max(z.target/2, leastAsk)
	}
}
