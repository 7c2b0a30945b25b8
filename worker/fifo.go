package worker

// fifo is parts in line, linked by next. It is the lane's, under its lock.
type fifo struct {
	head, tail *part
	n          int
	bytes      int64
}

// push queues parts that are linked already.
func (q *fifo) push(first, last *part, n int, bytes int64) {
	if q.tail == nil {
		q.head = first
	} else {
		q.tail.next = first
	}
	q.tail = last
	q.n += n
	q.bytes += bytes
}

// unpop puts a part in front.
func (q *fifo) unpop(p *part) {
	p.next = q.head
	q.head = p
	if q.tail == nil {
		q.tail = p
	}
	q.n++
	q.bytes += p.bytes()
}

func (q *fifo) pop() *part {
	p := q.head
	q.head = p.next
	if q.head == nil {
		q.tail = nil
	}
	p.next = nil
	q.n--
	q.bytes -= p.bytes()
	return p
}

// dropEnded forgets parts at the front that have ended.
func (q *fifo) dropEnded() {
	for q.head != nil && !q.head.open() {
		q.pop()
	}
}

// purge forgets ended parts wherever they stand.
func (q *fifo) purge() {
	var kept fifo
	for q.head != nil {
		if p := q.pop(); p.open() {
			kept.push(p, p, 1, p.bytes())
		}
	}
	*q = kept
}
