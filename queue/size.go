package queue

// Bookkeeping is what a delivery is charged beyond its message: the record, the
// parts made from it and what the queue's client keeps meanwhile.
const Bookkeeping = 1 << 10

// Size is the bytes of value, key and headers.
func (m *Message) Size() int64 {
	n := len(m.Value) + len(m.Key)
	for i := range m.Headers {
		n += len(m.Headers[i].Key) + len(m.Headers[i].Value)
	}
	return int64(n)
}

// Held is what a source charges for a delivery of this message.
func (m *Message) Held() int64 { return m.Size() + Bookkeeping }
