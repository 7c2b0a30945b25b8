package cmd

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
)

func purging(t *testing.T, o *dlqPurgeOptions, box queue.LetterBox, names ...string) (string, error) {
	t.Helper()
	p, out := printing()
	if err := o.check(names); err != nil {
		t.Fatal(err)
	}
	err := p.purgeLetters(t.Context(), o, shopRoutes, box)
	return out.String(), err
}

func open(b *keptBox) (names []string) {
	for _, l := range b.letters {
		if !b.gone[l.Places[0]] {
			names = append(names, l.Name())
		}
	}
	return names
}

func TestAPurgeTakesWhatWasChosen(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		o     dlqPurgeOptions
		names []string
		left  []string
		says  string
		code  int
	}{
		"by reason":            {o: dlqPurgeOptions{dlqOptions: dlqOptions{letterFilter: letterFilter{reasons: []string{"permanent"}}}, yes: true}, left: []string{"D/3", "D/4", "D/5"}, says: "purged 2 letters, 6 B from stream D\n1 letter cannot be read and stay"},
		"all":                  {o: dlqPurgeOptions{all: true, yes: true}, left: []string{"D/5"}, says: "purged 4 letters"},
		"damaged ones":         {o: dlqPurgeOptions{dlqOptions: dlqOptions{letterFilter: letterFilter{damaged: true}}, yes: true}, left: []string{"D/1", "D/2", "D/3", "D/4"}, says: "purged 1 letter, 3 B, 1 of them damaged"},
		"by name":              {o: dlqPurgeOptions{yes: true}, names: []string{"D/2", "D/9"}, left: []string{"D/1", "D/3", "D/4", "D/5"}, says: "purged 1 letter,", code: exitIncomplete},
		"a damaged one's name": {o: dlqPurgeOptions{yes: true}, names: []string{"D/5"}, left: []string{"D/1", "D/2", "D/3", "D/4", "D/5"}, says: "purged 0 letters, 0 B from stream D\n1 letter cannot be read"},
		"dry":                  {o: dlqPurgeOptions{all: true, dryRun: true}, left: []string{"D/1", "D/2", "D/3", "D/4", "D/5"}, says: "nothing was purged: give --yes instead of --dry-run to purge 4 letters"},
		"without a yes":        {o: dlqPurgeOptions{all: true}, left: []string{"D/1", "D/2", "D/3", "D/4", "D/5"}, code: exitUsage},
	} {
		box := manyLetters()
		for _, l := range box.letters {
			l.Value = []byte("abc")
		}
		box.freed = "the rest stays"
		said, err := purging(t, &tc.o, box, tc.names...)
		if code := report(io.Discard, err); code != tc.code || !strings.Contains(said, tc.says) {
			t.Errorf("%s: exit code %d, %v, said %q", name, code, err, said)
		}
		if diff := cmp.Diff(tc.left, open(box)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if freed := tc.o.yes; (box.freeing == 1) != freed || strings.Contains(said, box.freed) != freed {
			t.Errorf("%s: freed %d times, said %q", name, box.freeing, said)
		}
	}
}

// growing is a box into which letters come while a person thinks.
type growing struct {
	*keptBox
	later []*queue.Letter
	reads int
}

func (b *growing) Letters(ctx context.Context, visit func(*queue.Letter) error) error {
	if b.reads++; b.reads == 2 {
		b.letters = append(b.letters, b.later...)
	}
	return b.keptBox.Letters(ctx, visit)
}

func TestAPurgeTakesOnlyWhatWasThereWhenItAsked(t *testing.T) {
	t.Parallel()
	for answer, left := range map[string][]string{
		"yes\n": {"D/5", "D/6", "E/1"},
		"y\n":   {"D/1", "D/2", "D/3", "D/4", "D/5"},
		"":      {"D/1", "D/2", "D/3", "D/4", "D/5"},
	} {
		box := &growing{keptBox: manyLetters(), later: []*queue.Letter{permanentLetter(6, "new"), kept("E", 1)}}
		whole := box.letters[4] // its last chunk comes in the meantime
		p, out := printing()
		p.stdin = strings.NewReader(answer)
		g := &purge{program: p, o: &dlqPurgeOptions{all: true}, box: box}
		g.o.skip = func(l *queue.Letter) error {
			defer func() { whole.Damage = nil }()
			return g.spare(l)
		}
		if err := errors.Join(g.o.check(nil), g.ask(t.Context())); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(left, open(box.keptBox)); diff != "" || !strings.HasPrefix(out.String(), "Remove 4 letters, 0 B from stream D for good?") {
			t.Errorf("%q: %s\n%s", answer, diff, out)
		}
	}
}

func TestAPurgeThatFailsSaysWhatIsGone(t *testing.T) {
	t.Parallel()
	box := &keptBox{name: "D", fails: errors.New("denied")}
	for i := range purgeBatch + 1 {
		box.letters = append(box.letters, permanentLetter(int64(i), "x"))
	}
	said, err := purging(t, &dlqPurgeOptions{all: true, yes: true}, box)
	if !errors.Is(err, box.fails) || !strings.Contains(said, "purged 0 letters") || len(box.gone) != purgeBatch || box.freeing != 0 {
		t.Errorf("%v, %q, %d resolved", err, said, len(box.gone))
	}
}
