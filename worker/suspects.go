package worker

import "fmt"

// suspectsLocked are the batches of which the lane thinks that their data is to blame.
func (l *lane) suspectsLocked() (shown []SuspectStatus, n int) {
	for _, list := range [2][]*batch{l.flights, l.retry} {
		for _, b := range list {
			if b.attempt < 2 || !b.doubt.suspect() && !b.doubt.lone {
				continue
			}
			if n++; n <= MaxSuspects {
				shown = append(shown, l.suspectLocked(b))
			}
		}
	}
	return shown, n
}

func (l *lane) suspectLocked(b *batch) SuspectStatus {
	d := &b.doubt
	w := l.witnessLocked(d)
	s := SuspectStatus{Attempt: b.attempt, Groups: len(b.parts), Failed: b.why, NextTry: b.nextTry}
	switch since := w.own > d.seen; {
	case d.hangs >= hangsToSplit:
		s.Phase, s.Next = SuspectHanging, "sent group by group; one that hangs alone becomes a dead letter (hangs)"
	case d.bad && !since:
		s.Phase, s.Next = SuspectPausing, "tried as it is until something of this lane comes through, which shows that the destination takes its data"
	case d.piece && len(b.parts) == 1:
		s.Phase, s.Next = SuspectAlone, "a dead letter (poison)"+more(w.strikes-1-d.alone)
	case d.bad || d.piece || d.lone:
		s.Phase, s.Next = SuspectHalving, "halves of it are tried"
	case len(b.parts) == 1:
		s.Phase, s.Next = SuspectSuspected, "a dead letter (poison)"+more(w.strikes-d.strikes)
	default:
		s.Phase, s.Next = SuspectSuspected, "halved"+more(w.strikes-d.strikes)
	}
	return s
}

// more says behind how many failures something happens.
func more(n int) string {
	if n > 1000 {
		return ", when fewer than a third of the first tries fail: now it may be the destination"
	}
	return fmt.Sprintf(" when it fails %d times more, others of this lane coming through between", max(n, 1))
}
