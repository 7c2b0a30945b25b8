package cmd

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// kept is a letter at a place, stored so many minutes after noon.
func kept(part string, position int64, headers ...string) *queue.Letter {
	l := &queue.Letter{Places: []queue.Place{{Part: part, Position: position}}}
	l.Time = noon.Add(time.Duration(position) * time.Minute)
	for i := 0; i < len(headers); i += 2 {
		l.Headers = append(l.Headers, queue.Header{Key: headers[i], Value: headers[i+1]})
	}
	return l
}

func permanentLetter(position int64, text string) *queue.Letter {
	l := kept("D", position, queue.HeaderReason, worker.ReasonPermanent, queue.HeaderError, text, queue.HeaderTo, "dep/shop/es")
	l.Subject = queue.Lane{Route: "shop", Flusher: "es", Project: "shop", Logstore: "web", Config: "c"}.String()
	return l
}

func manyLetters() *keptBox {
	damaged := permanentLetter(5, "cut")
	damaged.Damage = errors.New("chunk 2 is missing")
	return &keptBox{name: "D", letters: []*queue.Letter{
		permanentLetter(1, "400 mapping"),
		permanentLetter(2, "413 too large"),
		kept("D", 3, queue.HeaderReason, worker.ReasonUndecodable, queue.HeaderError, "this is no loggroup", protocol.HeaderProject, "pay"),
		kept("D", 4, queue.HeaderReason, worker.ReasonNoRoute, protocol.HeaderProject, "other", protocol.HeaderLogstore, "l", protocol.HeaderConfig, "c"),
		damaged,
	}}
}

func chosen(t *testing.T, f *letterFilter, box queue.LetterBox, names ...string) []int64 {
	t.Helper()
	if err := f.check(names); err != nil {
		t.Fatal(err)
	}
	var at []int64
	if err := f.each(t.Context(), box, func(l *queue.Letter, _ *queue.Facts) error {
		at = append(at, l.Places[0].Position)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return at
}

func TestLettersAreChosenByEverythingGiven(t *testing.T) {
	t.Parallel()
	at := func(minutes int) moment { return moment{at: noon.Add(time.Duration(minutes) * time.Minute)} }
	for name, tc := range map[string]struct {
		filter letterFilter
		want   []int64
	}{
		"all":              {letterFilter{}, []int64{1, 2, 3, 4, 5}},
		"max":              {letterFilter{max: 2}, []int64{1, 2}},
		"reason":           {letterFilter{reasons: []string{"no_route", "undecodable"}}, []int64{3, 4}},
		"text":             {letterFilter{text: "too large"}, []int64{2}},
		"route":            {letterFilter{route: "shop"}, []int64{1, 2, 5}},
		"flusher":          {letterFilter{flusher: "es"}, []int64{1, 2, 5}},
		"entry":            {letterFilter{flusher: "shop/es"}, []int64{1, 2, 5}},
		"other entry":      {letterFilter{flusher: "pay/es"}, nil},
		"no entry":         {letterFilter{flusher: "/"}, nil},
		"key of a lane":    {letterFilter{match: worker.Match{Project: "sh*", Logstore: "web"}}, []int64{1, 2, 5}},
		"key of a message": {letterFilter{match: worker.Match{Project: "other"}}, []int64{4}},
		"half a key":       {letterFilter{match: worker.Match{Project: "pay"}}, []int64{3}},
		"since":            {letterFilter{since: at(4)}, []int64{4, 5}},
		"until":            {letterFilter{until: at(2)}, []int64{1}},
		"between":          {letterFilter{since: at(2), until: at(4)}, []int64{2, 3}},
		"damaged":          {letterFilter{damaged: true}, []int64{5}},
		"two":              {letterFilter{reasons: []string{"permanent"}, since: at(2)}, []int64{2, 5}},
	} {
		if diff := cmp.Diff(tc.want, chosen(t, &tc.filter, manyLetters())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if want := name == "all" || name == "max"; tc.filter.everything() != want {
			t.Errorf("%s: everything is %v", name, !want)
		}
	}
}

func TestLettersAreChosenByName(t *testing.T) {
	t.Parallel()
	var f letterFilter
	if diff := cmp.Diff([]int64{2, 4}, chosen(t, &f, manyLetters(), "D/4", "D/2")); diff != "" || f.unseen() != nil || f.everything() {
		t.Errorf("%s, unseen: %v", diff, f.unseen())
	}
	f = letterFilter{}
	if diff := cmp.Diff([]int64{2}, chosen(t, &f, manyLetters(), "D/2", "D/9", "E/2")); diff != "" {
		t.Error(diff)
	}
	err := f.unseen()
	var c *coded
	if !errors.As(err, &c) || c.code != exitIncomplete || !strings.Contains(err.Error(), "D/9, E/2;") {
		t.Errorf("%v", err)
	}
	f = letterFilter{max: 1}
	if diff := cmp.Diff([]int64{1}, chosen(t, &f, manyLetters(), "D/1", "D/2")); diff != "" || f.unseen() != nil {
		t.Errorf("%s, unseen: %v", diff, f.unseen())
	}
}

// Who has no use for letters that cannot be read is told which they are.
func TestDamagedLettersAreSkipped(t *testing.T) {
	t.Parallel()
	box := manyLetters()
	box.letters[0].Damage = errors.New("version 2")
	var skipped []string
	f := letterFilter{route: "shop", max: 1, skip: func(l *queue.Letter) error {
		skipped = append(skipped, l.Name())
		return nil
	}}
	if diff := cmp.Diff([]int64{2}, chosen(t, &f, box)); diff != "" || !cmp.Equal(skipped, []string{"D/1"}) {
		t.Errorf("%s, skipped %v", diff, skipped)
	}
	skipped, f.max = nil, 0
	if diff := cmp.Diff([]int64(nil), chosen(t, &f, box, "D/1", "D/5")); diff != "" || f.unseen() != nil || len(skipped) != 2 {
		t.Errorf("%s, skipped %v, %v", diff, skipped, f.unseen())
	}
}

// A box that was never made holds no letter; one that cannot be read is an error, and
// so is what went wrong with a letter.
func TestTroubleWithABoxIsTold(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	var f letterFilter
	never := &keptBox{never: fmt.Errorf("couldn't read: %w", &queue.MissingError{What: "stream", Name: "D"})}
	if err := f.each(t.Context(), never, func(*queue.Letter, *queue.Facts) error { return broken }); err != nil || f.never == nil || f.never.Name != "D" {
		t.Errorf("never made: %v, %v", err, f.never)
	}
	if err := f.each(t.Context(), &keptBox{never: broken}, nil); !errors.Is(err, broken) {
		t.Errorf("unreadable: %v", err)
	}
	if err := f.each(t.Context(), manyLetters(), func(*queue.Letter, *queue.Facts) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a letter: %v", err)
	}
}

func TestFiltersThatCannotBeMeantAreRefused(t *testing.T) {
	t.Parallel()
	early, late := moment{noon, "noon"}, moment{noon.Add(time.Hour), "one"}
	for _, tc := range []struct {
		filter letterFilter
		name   string
		says   string
	}{
		{letterFilter{reasons: []string{"permanen"}}, "", "did you mean permanent?"},
		{letterFilter{reasons: []string{"xyz"}}, "", "they are undecodable, no_key"},
		{letterFilter{max: -1}, "", "--max"},
		{letterFilter{since: late, until: early}, "", "--since one is not before --until noon"},
		{letterFilter{}, "D-7", `"D-7" names no letter`},
	} {
		var names []string
		if tc.name != "" {
			names = []string{tc.name}
		}
		err := tc.filter.check(names)
		var c *coded
		if !errors.As(err, &c) || c.code != exitUsage || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%+v: %v, want %q", tc.filter, err, tc.says)
		}
	}
}

func TestMomentsAreTimesOrAges(t *testing.T) {
	t.Parallel()
	var m moment
	if err := m.Set("2026-01-02T12:00:00Z"); err != nil || !m.at.Equal(noon) {
		t.Errorf("%v, %v", m.at, err)
	}
	for _, age := range []string{"90m", "-90m", "1h30m"} {
		before := time.Now().Add(-90 * time.Minute)
		if err := m.Set(age); err != nil || m.at.Before(before) || m.at.After(time.Now().Add(-90*time.Minute)) {
			t.Errorf("%s: %v, %v", age, m.at, err)
		}
	}
	for _, wrong := range []string{"", "yesteryear", "17", "end", "0:100"} {
		if err := m.Set(wrong); err == nil || !strings.Contains(err.Error(), "is no time") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}
