package ledger

// BookOf makes a book of what a source holds, for traffic that nobody kept a journal
// of: what is intact there counts as confirmed, in the order of its ids.
type BookOf struct {
	book Book
	bad  Finding
}

// maxFound bounds the group numbers that are believed.
const maxFound = 1 << 26

// See takes one log of the source.
func (b *BookOf) See(s Sighting) {
	if !s.Known || !s.Intact || s.Unreadable || s.ID.Group >= maxFound {
		b.bad.add(s.ID.String() + " in " + s.File)
		return
	}
	for uint64(len(b.book)) <= s.ID.Group {
		b.book = append(b.book, Entry{})
	}
	e := &b.book[s.ID.Group]
	e.Key, e.Logs, e.Confirmed = s.Key, max(e.Logs, s.ID.Log+1), true
}

// Book is what was seen so far. Groups that the source does not have were not tried.
// The finding is what it holds that is not the ledger's.
func (b *BookOf) Book() (Book, Finding) { return b.book, b.bad }
