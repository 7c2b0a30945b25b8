package protocol

import (
	"fmt"
	"strings"
	"time"
)

// jodaUnits are the units of iLogtail's layouts, %{+yyyy.MM.dd}, with Go's
// spelling, as its Elasticsearch flusher reads them: K is an hour of twelve, and X
// an offset that is +00 in UTC. What stands twice there (hh, a) is what Joda's own
// users write.
var jodaUnits = map[string]string{
	"yyyy": "2006",
	"yy":   "06",
	"MMMM": "January",
	"MMM":  "Jan",
	"MM":   "01",
	"M":    "1",
	"EEEE": "Monday",
	"EEE":  "Mon",
	"dd":   "02",
	"d":    "2",
	"DDD":  "002",
	"HH":   "15",
	"KK":   "03",
	"K":    "3",
	"hh":   "03",
	"h":    "3",
	"mm":   "04",
	"m":    "4",
	"ss":   "05",
	"s":    "5",
	"aa":   "PM",
	"a":    "PM",
	"Z":    "MST",
	"X":    "-07",
	"XX":   "-0700",
	"XXX":  "-07:00",
}

// jodaMeant is what people write who mean one of the units. A unit that becomes
// nothing cannot be had: logs are dated to the second.
var jodaMeant = map[string]string{
	"YYYY": "yyyy",
	"YY":   "yy",
	"uuuu": "yyyy",
	"xxxx": "yyyy",
	"yyy":  "yyyy",
	"y":    "yyyy",
	"E":    "EEE",
	"EE":   "EEE",
	"DD":   "dd",
	"D":    "DDD",
	"H":    "HH",
	"k":    "HH",
	"kk":   "HH",
	"www":  "ww",
	"zzz":  "Z",
	"z":    "Z",
	"ZZ":   "XXX",
	"S":    "",
	"SS":   "",
	"SSS":  "",
}

// jodaReader takes a layout apart: units of time, and text that is no unit.
type jodaReader struct {
	layout  string
	parts   []part
	meant   strings.Builder // the layout with its mistakes mended
	mistake string          // the first run of letters that is no unit
}

// parseJoda reads what stands behind %{+.
func parseJoda(layout string) ([]part, error) {
	r := jodaReader{layout: layout}
	for at := 0; at < len(layout); {
		at += r.step(layout[at:])
	}
	switch {
	case r.mistake != "":
		return nil, r.wrong()
	case !varies(r.parts):
		return nil, fmt.Errorf("%%{+%s} is the same at all times: write %%{+yyyy.MM.dd}", layout)
	}
	return joined(r.parts), nil
}

func (r *jodaReader) wrong() error {
	meant := strings.Trim(r.meant.String(), " .,:_-")
	if parts, err := parseJoda(meant); err != nil || !varies(parts) {
		meant = "yyyy.MM.dd"
	}
	if strings.Trim(r.mistake, "S") == "" {
		return fmt.Errorf("%%{+%s} asks for parts of a second, and a name is made of whole seconds: write %%{+%s}", r.layout, meant)
	}
	return fmt.Errorf("%%{+%s} has %q, which is no unit of time here: write %%{+%s}, and 'text' in quotes", r.layout, r.mistake, meant)
}

// step reads one unit, one quoted text or one character, and says how long it is.
func (r *jodaReader) step(rest string) int {
	run := 1
	for run < len(rest) && rest[run] == rest[0] {
		run++
	}
	switch unit := rest[:run]; {
	case rest[0] == '\'':
		return r.quoted(rest)
	case rest[0] == '%' && len(rest) > 1 && letters(rest[1:2]) != "": // strftime's
		r.wrongRun(rest[:2], "")
		return 2
	case letters(rest[:1]) == "" || unit == "T": // T stands between date and time
		r.text(unit)
		r.meant.WriteString(unit)
		return run
	case unit == "w" || unit == "ww":
		r.parts = append(r.parts, part{kind: partWeek})
		r.meant.WriteString(unit)
		return run
	default:
		layout, known := jodaUnits[unit]
		if !known {
			r.wrongRun(unit, jodaMeant[unit])
			return run
		}
		r.parts = append(r.parts, part{kind: partDate, arg: layout})
		r.meant.WriteString(unit)
		return run
	}
}

func (r *jodaReader) wrongRun(run, meant string) {
	if r.mistake == "" {
		r.mistake = run
	}
	r.meant.WriteString(meant)
}

// quoted reads 'text'; a quote in it is written twice.
func (r *jodaReader) quoted(rest string) int {
	body, _, closed := strings.Cut(rest[1:], "'")
	if !closed {
		r.wrongRun("'", "")
		return 1
	}
	n := len(body) + 2
	r.meant.WriteString(rest[:n])
	if body == "" {
		body = "'"
	}
	r.text(body)
	return n
}

func (r *jodaReader) text(s string) { r.parts = append(r.parts, part{kind: partText, arg: s}) }

func varies(parts []part) bool {
	for i := range parts {
		if parts[i].kind != partText {
			return true
		}
	}
	return false
}

// joined makes one part of neighbours where Go reads the whole as it reads the
// pieces, which it does not of a day behind an underscore or of digits in text.
func joined(parts []part) []part {
	out := parts[:1]
	for _, p := range parts[1:] {
		last := &out[len(out)-1]
		if both, ok := together(*last, p); ok {
			*last = both
			continue
		}
		out = append(out, p)
	}
	return out
}

func together(a, b part) (part, bool) {
	if a.kind > partDate || b.kind > partDate {
		return part{}, false
	}
	both := part{kind: max(a.kind, b.kind), arg: a.arg + b.arg}
	for _, t := range []time.Time{oneMoment, anotherMoment} {
		pieces := b.appendTime(a.appendTime(nil, t), t)
		if string(both.appendTime(nil, t)) != string(pieces) {
			return part{}, false
		}
	}
	return both, true
}
