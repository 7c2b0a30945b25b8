package cmd

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/flushline/flushline/queue"
)

// replayTold says what becomes of letters while they are replayed: a line for each that
// stays, how far it is, and in the end how many. One goroutine uses it.
type replayTold struct {
	out  io.Writer
	show *progress
	gone func(error) // nobody reads out any more

	where                   string
	replayed, stayed, would int64
	again                   int64  // became dead letters again
	freed                   string // what the box says of the space of those that were replayed
}

func (t *replayTold) begin(stderr io.Writer, where string) {
	t.where, t.show = where, newProgress(stderr, "replayed", 0, "letters")
}

func (t *replayTold) line(format string, args ...any) {
	if _, err := fmt.Fprintf(t.out, format+"\n", args...); err != nil {
		t.gone(fmt.Errorf("nobody reads what it says any more: %w", err))
	}
}

// stays is a letter that is not replayed.
func (t *replayTold) stays(l *queue.Letter, why error) {
	t.stayed++
	t.line("%s stays: %s", printable(l.Name()), printable(why.Error()))
}

// goes is a letter that a dry run would replay.
func (t *replayTold) goes(l *queue.Letter, m *queue.Message, where string) {
	t.would++
	to, has := m.Header(queue.HeaderTo)
	if _, entry, ok := strings.Cut(to, "/"); has && ok {
		where += ", for " + entry
	}
	reason, _ := l.Header(queue.HeaderReason)
	t.line("%s (%s) would go to %s", printable(l.Name()), printable(reason), printable(where))
}

// done are letters that were replayed and are resolved.
func (t *replayTold) done(letters int, bytes int64) {
	t.replayed += int64(letters)
	t.show.add(letters, int(bytes))
}

// summary is what came of it, in a line.
func (t *replayTold) summary(dry bool) string {
	t.show.close()
	if dry {
		return fmt.Sprintf("would replay %s to %s%s", countedLetters(t.would), printable(t.where), t.rest())
	}
	return t.sofar() + t.rest()
}

func (t *replayTold) rest() string {
	if t.stayed == 0 {
		return ""
	}
	return "; " + stayedText(t.stayed)
}

func (t *replayTold) sofar() string {
	return fmt.Sprintf("replayed %s to %s", countedLetters(t.replayed), printable(t.where))
}

func stayedText(n int64) string {
	if n == 1 {
		return "1 stays"
	}
	return number(n) + " stay"
}

func wereLetters(n int) string {
	if n == 1 {
		return "1 letter was"
	}
	return number(int64(n)) + " letters were"
}

// errStays is how a replay ends that had to leave letters where they are.
func errStays(n int64) error {
	return &coded{exitIncomplete, errors.New(stayedText(n) + ": the lines above say why")}
}

func becameLetters(n int64) string {
	if n == 1 {
		return "1 part became a dead letter"
	}
	return number(n) + " parts became dead letters"
}
