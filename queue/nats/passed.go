package nats

// passed counts messages that the consumer was never given, from samples of the
// consumer and its stream. It is a pure state machine.
//
// For a consumer without filter each sequence of the stream is delivered once or
// passed over. So a step of the delivered sequence that is larger than the number
// of deliveries passed the rest over, and what lies between the delivered and the
// last sequence but is not pending is gone, too. Redeliveries hide what was passed
// in the same step: the count is a lower bound then, exact otherwise.
//
// For a consumer with a filter only an upper bound is known: what lies before the
// stream's first sequence and was not delivered may have been other people's.
type passed struct {
	filtered bool
	seen     bool
	last     sample

	behind  int64 // passed by the delivered sequence
	ahead   int64 // the most that was gone and not passed yet
	purged  int64
	atMost  int64 // with a filter
	highest uint64
}

// sample is the state of consumer and stream at one moment.
type sample struct {
	delivered  uint64 // stream sequence
	deliveries uint64 // consumer sequence
	pending    uint64
	first      uint64 // of the stream
	end        uint64 // last sequence of the stream
}

func (p *passed) add(s sample) {
	if p.filtered {
		p.addFiltered(s)
		return
	}
	if p.seen && s.delivered >= p.last.delivered && s.deliveries >= p.last.deliveries {
		step := int64(s.delivered-p.last.delivered) - int64(s.deliveries-p.last.deliveries)
		if step > 0 {
			p.step(step, s)
		}
	}
	if p.seen {
		// The end of one sample earlier: servers count a message as pending some time
		// after it is in the stream, and it must not look lost meanwhile.
		p.ahead = max(p.ahead, int64(p.last.end)-int64(s.delivered)-int64(s.pending))
	}
	if s.pending == 0 && s.delivered >= s.end {
		p.ahead = 0 // all of it has been passed and counted there
	}
	p.seen, p.last = true, s
}

// step counts what the delivered sequence jumped over. What was counted ahead of
// it is not counted twice.
func (p *passed) step(n int64, s sample) {
	p.ahead = max(0, p.ahead-n)
	if s.first > p.last.end && s.delivered+1 >= s.first {
		p.purged += n // everything that was there is gone at once
		return
	}
	p.behind += n
}

func (p *passed) addFiltered(s sample) {
	if s.first > 0 && s.first-1 > s.delivered && s.pending > 0 {
		from := max(s.delivered, p.highest)
		if s.first-1 > from {
			p.atMost += int64(s.first - 1 - from)
			p.highest = s.first - 1
		}
	}
}

// counts is what to show, by reason.
func (p *passed) counts() map[string]int64 {
	m := map[string]int64{}
	put := func(reason string, n int64) {
		if n > 0 {
			m[reason] = n
		}
	}
	put("expired", p.behind+p.ahead)
	put("purged", p.purged)
	put("expired_at_most", p.atMost)
	return m
}
