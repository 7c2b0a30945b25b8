package protocol

// Category is the group's Category, found without decoding. It aliases Data.
func (g *Group) Category() string {
	category := ""
	g.each(func(tag uint64, start, end int) {
		if tag == tagCategory {
			category = alias(g.Data, start, end)
		}
	})
	return category
}

// Tag is the value of a log tag, found without decoding; of several with that
// key the last one. It aliases Data.
func (g *Group) Tag(key string) (value string, ok bool) {
	g.each(func(tag uint64, start, end int) {
		if tag != tagLogTags {
			return
		}
		var pair Log_Content
		if setPair(&pair, g.Data, start, end); pair.Key == key {
			value, ok = pair.Value, true
		}
	})
	return value, ok
}

// each calls f for the length-delimited fields of the group.
func (g *Group) each(f func(tag uint64, start, end int)) {
	b := g.Data
	for i := 0; i < len(b); {
		tag, next := uvarint(b, i)
		if tag&7 != wireBytes {
			i, _ = skip(b, next, tag, 0)
			continue
		}
		start, end := span(b, next)
		f(tag, start, end)
		i = end
	}
}
