package nats

import "time"

// overhead is the bookkeeping that each held message is charged for beyond its
// bytes.
const overhead = 1024

// pulls is the account of what was asked of the server and has not arrived.
// Messages do not say which request they answer, so what is outstanding is kept
// as one sum: what was asked, less what arrived, less what the final statuses
// say will not come. It is a pure state machine: its results are what the caller
// owes the Host.
//
// The sum returns to zero whenever no request is live, whatever was lost on the
// way, so an error in it never outlives a request.
type pulls struct {
	live  []pull
	msgs  int
	bytes int64
}

// pull is one request that has not ended.
type pull struct {
	id    uint64
	msgs  int
	bytes int64
	since time.Time
}

// open records a request for msgs messages of together bytes.
func (p *pulls) open(one pull) {
	p.live = append(p.live, one)
	p.msgs += one.msgs
	p.bytes += one.bytes
}

// arrived accounts for a message of size bytes: charge is what came beyond what
// was asked, give what is over when the requests' bytes are used up, which ends
// them without a status.
func (p *pulls) arrived(size int64) (charge, give int64) {
	if p.msgs > 0 {
		p.msgs--
	} else {
		charge = overhead
	}
	charge += max(0, size-p.bytes)
	p.bytes = max(0, p.bytes-size)
	if p.bytes == 0 && len(p.live) > 0 {
		give = p.void()
	}
	return charge, give
}

// ended closes a request whose final status leaves msgs and bytes undelivered;
// negative ones mean all it asked for. untouched says that it delivered nothing.
// A request that is not live any more was settled before and gives nothing.
func (p *pulls) ended(id uint64, msgs int, bytes int64) (give int64, one pull, untouched bool) {
	for i := range p.live {
		if p.live[i].id != id {
			continue
		}
		one = p.live[i]
		p.live = append(p.live[:i], p.live[i+1:]...)
		if msgs < 0 {
			msgs, bytes = one.msgs, one.bytes
		}
		untouched = msgs == one.msgs && bytes == one.bytes
		if len(p.live) == 0 {
			return p.void(), one, untouched
		}
		msgs, bytes = min(msgs, p.msgs), min(bytes, p.bytes)
		p.msgs -= msgs
		p.bytes -= bytes
		give = bytes + int64(msgs)*overhead
		if p.bytes == 0 { // the others were used up without a status
			give += p.void()
		}
		return give, one, untouched
	}
	return 0, pull{}, false
}

// void ends all requests: nothing more is expected.
func (p *pulls) void() (give int64) {
	give = p.cost()
	p.live, p.msgs, p.bytes = p.live[:0], 0, 0
	return give
}

// cost is the bytes of the budget that outstanding requests hold.
func (p *pulls) cost() int64 { return p.bytes + int64(p.msgs)*overhead }

// overdue says whether a request should have ended before now.
func (p *pulls) overdue(now time.Time, after time.Duration) bool {
	return len(p.live) > 0 && now.Sub(p.live[0].since) > after
}
