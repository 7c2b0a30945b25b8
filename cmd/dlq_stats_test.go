package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/configs"
)

func TestErrorsOfOneCauseAreAlike(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                     "",
		"401 Unauthorized":     "# Unauthorized",
		"failed after 12.5s":   "failed after #.#s",
		"field [age] of doc 7": "field [age] of doc #",
		"doc 0f8fad5b-d9cb-469f-a165-70867728950e is bad": "doc # is bad",
		"doc deadbeef1 and deadbeef and v2beta":           "doc # and deadbeef and v#beta",
		"größe 12":                                        "größe #",
		"ip 10.0.0.1:9200":                                "ip #.#.#.#:#",
		"facade and 1234abc":                              "facade and #abc",
	} {
		if got := fold(text); got != want {
			t.Errorf("%q is folded to %q, want %q", text, got, want)
		}
	}
	if got := fold(strings.Repeat("é", foldedText)); got != strings.Repeat("é", foldedText/2)+"…" {
		t.Errorf("a long error is %q", got)
	}
}

// However many different errors there are, memory is bounded and every letter counted.
func TestErrorsThatAreTooManyAreOne(t *testing.T) {
	t.Parallel()
	var e foldedErrors
	word := func(i int) string {
		return strings.Map(func(r rune) rune { return r - '0' + 'g' }, fmt.Sprintf("%06d", i))
	}
	for i := range foldedKinds + 10 {
		e.add(word(i), kept("D", int64(i)))
	}
	most := e.most(1)
	if len(e.of) != foldedKinds+1 || most[0].text != otherErrors || most[0].letters != 10 || most[0].example != fmt.Sprintf("D/%d", foldedKinds+9) {
		t.Errorf("%d kinds, most are %+v", len(e.of), most[0])
	}
}

func TestATableFitsItsLongestRowsAndATerminal(t *testing.T) {
	t.Parallel()
	out := new(bytes.Buffer)
	c := newColumns(out)
	c.line = 40
	for _, row := range [][]string{{"NAME", "ERROR"}, {"größer", "short"}, {"a", strings.Repeat("x", 50)}} {
		if err := c.row(row...); err != nil {
			t.Fatal(err)
		}
	}
	if out.Len() > 0 {
		t.Errorf("printed before the widths are known: %q", out)
	}
	if err := c.end("2 rows"); err != nil {
		t.Fatal(err)
	}
	want := "NAME    ERROR\ngrößer  short\na       " + strings.Repeat("x", 31) + "…\n2 rows\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestALongTableIsPrintedAsItComes(t *testing.T) {
	t.Parallel()
	out := new(bytes.Buffer)
	c := newColumns(out)
	for range columnsFirst {
		if err := c.row("name", "error"); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != columnsFirst || c.first != nil {
		t.Errorf("%d lines, and %d rows are still kept", n, len(c.first))
	}
	if err := errors.Join(c.row("a longer name", "error"), c.row("n", "error"), c.end()); err != nil {
		t.Fatal(err)
	}
	if want := "a longer name  error\nn     error\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("the end is not %q: %q", want, out.String()[max(0, out.Len()-100):])
	}
}

func TestStatsCountWhatLettersHaveInCommon(t *testing.T) {
	t.Parallel()
	s := newLetterStats(newLetterView(&configs.Config{}))
	box := manyLetters()
	box.letters = append(box.letters, permanentLetter(6, "401 mapping"))
	for _, l := range box.letters {
		l.Value = []byte("1234")
	}
	if err := (&letterFilter{}).each(t.Context(), box, s.add); err != nil {
		t.Fatal(err)
	}
	want := &statsReport{
		Letters: 6, Bytes: 24, Oldest: noon.Add(time.Minute), Newest: noon.Add(6 * time.Minute),
		Reasons: []statsKind{
			{Name: "permanent", Letters: 4, Bytes: 16}, {Name: "no_route", Letters: 1, Bytes: 4}, {Name: "undecodable", Letters: 1, Bytes: 4},
		},
		Flushers: []statsKind{{Name: "shop/es", Letters: 4, Bytes: 16, Gone: true}, {Name: "", Letters: 2, Bytes: 8}},
		Errors: []statsKind{
			{Name: "# mapping", Letters: 2, Bytes: 8, Example: "D/6"},
			{Name: "", Letters: 1, Bytes: 4, Example: "D/4"},
			{Name: "# too large", Letters: 1, Bytes: 4, Example: "D/2"},
			{Name: "this is no loggroup", Letters: 1, Bytes: 4, Example: "D/3"},
		},
		Damaged: []statsKind{{Name: "chunk # is missing", Letters: 1, Bytes: 4, Example: "D/5"}},
	}
	if diff := cmp.Diff(want, s.report()); diff != "" {
		t.Error(diff)
	}
	p, out := printing()
	if err := s.print(p.stdout, &letterFilter{}, box); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"6 letters, 24 B, 1 of them damaged in stream D, stored from 2026-01-02T12:01:00Z to 2026-01-02T12:06:00Z", "shop/es (gone)  4", "D/6      # mapping", "DAMAGED"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("%q is not in\n%s", text, out)
		}
	}
}
