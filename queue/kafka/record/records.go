package record

import "math"

// maxHeaders bounds what the headers of one record cost beside its bytes: 3 MiB.
const maxHeaders = 1 << 16

// open points the stream at the records of a batch.
func (w *walk) open(c codec, body []byte) error {
	if c == none {
		w.stream.over(body)
		return nil
	}
	r, err := w.codecs.open(c, body, w.max)
	if err != nil {
		return err
	}
	w.stream.decompress(r)
	return nil
}

// records hands out the records of a batch.
func (w *walk) records(b *batch) error {
	if b.count == 0 && len(b.body) == 0 {
		w.close(b) // emptied by compaction, kept for its producer's sake
		return nil
	}
	if err := w.open(b.codec(), b.body); err != nil {
		return err
	}
	before := int64(-1) // offset delta of the record before
	for range b.count {
		size, err := w.stream.varint()
		if err != nil {
			return err
		}
		if size < 0 || size > math.MaxInt32 {
			return malformed("a record of %d bytes", size)
		}
		delta, err := w.record(b, size, before)
		if err != nil {
			return err
		}
		before = delta
	}
	if err := w.stream.end(); err != nil {
		return err
	}
	w.close(b)
	return nil
}

// record reads one record of a size and hands it out. It returns its offset delta.
func (w *walk) record(b *batch, size, before int64) (int64, error) {
	if w.stream.src != nil && size > w.max {
		return w.oversize(b, size, before)
	}
	body, err := w.stream.next(size)
	if err != nil {
		return 0, err
	}
	c := cursor{rest: body}
	c.skip(1) // attributes: none are defined
	time, delta := c.varint(), c.varint()
	if c.bad {
		return 0, malformed("it ends inside a record")
	}
	if err := b.follows(delta, before); err != nil {
		return 0, err
	}
	offset := b.base + delta
	if offset < w.Next {
		return delta, nil
	}
	if offset >= w.to {
		return 0, w.stop()
	}
	r := &w.rec
	r.Key, r.Value = c.bytes(), c.bytes()
	r.Wrapped, r.Size = false, int64(len(r.Value))
	if err := w.headers(&c); err != nil {
		return 0, &recordError{offset + 1, err}
	}
	return delta, w.give(offset, b.time(b.baseTime+time))
}

// follows checks the place of a record in its batch.
func (b *batch) follows(delta, before int64) error {
	if delta <= before || delta > b.last-b.base {
		return malformed("a record with offset %d+%d, after +%d, in a batch that ends at +%d", b.base, delta, before, b.last-b.base)
	}
	return nil
}

// headers reads the headers, which end a record.
func (w *walk) headers(c *cursor) error {
	n := c.varint()
	if n < 0 || n > int64(len(c.rest)/2) {
		c.bad = true
	}
	if !c.bad && n > maxHeaders {
		return tooLarge("%d headers in one record (at most %d)", n, maxHeaders)
	}
	w.rec.Headers = w.rec.Headers[:0]
	for i := int64(0); i < n && !c.bad; i++ {
		key, value := c.bytes(), c.bytes()
		if key == nil {
			c.bad = true
		}
		w.rec.Headers = append(w.rec.Headers, Header{key, value})
	}
	if c.bad || len(c.rest) != 0 {
		return malformed("the lengths inside a record do not add up to its own")
	}
	return nil
}

// control reads the records of a control batch: they are passed over, and an abort
// marker ends its producer's transaction.
func (w *walk) control(b *batch) error {
	if err := w.open(b.codec(), b.body); err != nil {
		return err
	}
	for range b.count {
		size, err := w.stream.varint()
		if err != nil {
			return err
		}
		if size < 0 || size > keepMost {
			return malformed("a control record of %d bytes", size)
		}
		body, err := w.stream.next(size)
		if err != nil {
			return err
		}
		c := cursor{rest: body}
		c.skip(1)
		c.varint()
		c.varint()
		if key := c.bytes(); !c.bad && aborts(key) {
			delete(w.filter.open, b.producer)
		}
		if c.bad {
			return malformed("it ends inside a control record")
		}
	}
	w.pass(b, &w.Control)
	return nil
}
