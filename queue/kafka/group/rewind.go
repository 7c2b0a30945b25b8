package group

// Rewind lets positions be committed that lie below those that were sent under the
// lease: the partition is not the one it was (its topic was deleted and made anew,
// or its log was cut back). No commit of the lease may be under way.
func (l *Lease) Rewind() {
	l.member.mu.Lock()
	defer l.member.mu.Unlock()
	l.sent = 0
}
