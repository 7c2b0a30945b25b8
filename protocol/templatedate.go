package protocol

import (
	"fmt"
	"strings"
	"time"
)

// Two moments that differ in every unit: a layout that gives one text for both
// does not vary with time.
var (
	oneMoment     = time.Date(2001, time.February, 3, 4, 6, 8, 0, time.UTC)
	anotherMoment = time.Date(2018, time.November, 29, 23, 57, 49, 0, time.UTC)
)

// checkLayout refuses layouts that Go takes and nobody means: without any part
// of the time, in the spelling of Java or strftime, or with another year than 2006.
func checkLayout(layout string) error {
	if layout == "" {
		return fmt.Errorf("{date:} has no layout: write {date:2006-01-02}")
	}
	if corrected, foreign := goLayout(layout); foreign {
		return fmt.Errorf("{date:%s} is not a Go layout: write {date:%s}", layout, corrected)
	}
	if year := wrongYear(layout); year != "" {
		return fmt.Errorf("{date:%s} has the year %s, but a Go layout is made of the date 2006-01-02 15:04:05: write {date:2006-01-02}",
			layout, year)
	}
	if oneMoment.Format(layout) == anotherMoment.Format(layout) {
		return fmt.Errorf("{date:%s} is the same at all times: write {date:2006-01-02}", layout)
	}
	return nil
}

// Period is the number of seconds, counted from 1970 on, within which the dates of the
// template do not change: 1, 60, 3600 or 86400; 0 if it has none.
func (t *Template) Period() uint32 {
	if !t.Uses("date") {
		return 0
	}
	midnight := time.Unix(0, 0).UTC()
	for _, unit := range []struct {
		period uint32
		later  []time.Duration // within the next larger period, and seen by every layout with this unit
	}{
		{1, []time.Duration{time.Second}},
		{60, []time.Duration{time.Minute}},
		{3600, []time.Duration{time.Hour, 12 * time.Hour}},
	} {
		for i := range t.parts {
			p := &t.parts[i]
			if p.kind != partDate {
				continue
			}
			for _, d := range unit.later {
				if midnight.Format(p.arg) != midnight.Add(d).Format(p.arg) {
					return unit.period
				}
			}
		}
	}
	return 24 * 3600
}

// javaUnits and strftimeUnits, longest first, with Go's spelling.
var (
	javaUnits = [][2]string{
		{"yyyy", "2006"},
		{"YYYY", "2006"},
		{"uuuu", "2006"},
		{"yy", "06"},
		{"YY", "06"},
		{"MMMM", "January"},
		{"MMM", "Jan"},
		{"MM", "01"},
		{"EEEE", "Monday"},
		{"EEE", "Mon"},
		{"dd", "02"},
		{"DD", "02"},
		{"HH", "15"},
		{"hh", "03"},
		{"mm", "04"},
		{"ss", "05"},
	}
	strftimeUnits = [][2]string{
		{"%Y", "2006"},
		{"%y", "06"},
		{"%m", "01"},
		{"%d", "02"},
		{"%H", "15"},
		{"%I", "03"},
		{"%M", "04"},
		{"%S", "05"},
		{"%b", "Jan"},
		{"%B", "January"},
		{"%a", "Mon"},
		{"%A", "Monday"},
		{"%j", "002"},
		{"%p", "PM"},
		{"%F", "2006-01-02"},
		{"%T", "15:04:05"},
	}
)

// goLayout translates Java's and strftime's spelling, and says whether there was
// any. Java's counts only in runs of letters that consist of it, so that words
// stay words.
func goLayout(layout string) (translated string, foreign bool) {
	var b strings.Builder
	for layout != "" {
		if unit, found := prefixUnit(layout, strftimeUnits); unit != "" {
			b.WriteString(found)
			layout, foreign = layout[len(unit):], true
			continue
		}
		run := letters(layout)
		if run == "" {
			b.WriteByte(layout[0])
			layout = layout[1:]
			continue
		}
		found, ok := javaRun(run)
		b.WriteString(found)
		layout, foreign = layout[len(run):], foreign || ok
	}
	return b.String(), foreign
}

func javaRun(run string) (translated string, ok bool) {
	var b strings.Builder
	for rest := run; rest != ""; {
		unit, found := prefixUnit(rest, javaUnits)
		switch {
		case unit != "":
			b.WriteString(found)
			rest = rest[len(unit):]
		case rest[0] == 'T' && b.Len() > 0: // between date and time
			b.WriteByte('T')
			rest = rest[1:]
		default:
			return run, false
		}
	}
	return b.String(), true
}

func prefixUnit(s string, units [][2]string) (unit, translated string) {
	for _, u := range units {
		if strings.HasPrefix(s, u[0]) {
			return u[0], u[1]
		}
	}
	return "", ""
}

func letters(s string) string {
	i := 0
	for i < len(s) && (s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z') {
		i++
	}
	return s[:i]
}

// wrongYear finds a year that someone took from today's date: four digits at the
// start of a run of digits, 19xx or 20xx, but not 2006.
func wrongYear(layout string) string {
	for i := 0; i < len(layout); {
		run := 0
		for i+run < len(layout) && layout[i+run] >= '0' && layout[i+run] <= '9' {
			run++
		}
		if run >= 4 {
			year := layout[i : i+4]
			if (year[:2] == "19" || year[:2] == "20") && year != "2006" {
				return year
			}
		}
		i += max(run, 1)
	}
	return ""
}
