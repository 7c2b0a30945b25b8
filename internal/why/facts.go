package why

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/flushline/flushline/worker"
)

// free fills a sentence with what is known of the worker, and of what it is about.
func (l *looker) free(sentence string, known facts) string {
	all := facts{
		"in_flight": l.limit("limits.in_flight"), "lanes": l.limit("limits.lanes"), "work": l.limit("limits.work"),
		"topics": l.limit("topics"), "dead_letter": l.limit("dead_letter"),
		"letters": l.given("letters"), "parked": l.given("parked"),
	}
	for name, text := range known {
		if text != "" {
			all[name] = text
		}
	}
	text := fill(sentence, all)
	if c := l.s.Config; c != nil && c.File != "" {
		text = strings.ReplaceAll(text, "-c FILE", "-c "+quoted(c.File))
	}
	return text
}

func quoted(path string) string {
	if strings.ContainsAny(path, " \t'\"") {
		return strconv.Quote(path)
	}
	return path
}

// given is what the configuration says, or where.
func (l *looker) given(name string) string {
	if l.s.Config == nil {
		return ""
	}
	return l.s.Config.Given[name]
}

// limit is an option with its place; one that was not given has none.
func (l *looker) limit(name string) string {
	if place := l.given(name); place != "" {
		return "`" + name + "`" + at(place)
	}
	return ""
}

func at(place string) string {
	if place == "" {
		return ""
	}
	return " (" + place + ")"
}

// until says when, in a sentence.
func (l *looker) until(t time.Time) string {
	d := t.Sub(l.s.Now)
	switch {
	case t.IsZero():
		return ""
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("in %ds", int(d.Round(time.Second).Seconds()))
	}
	return "in " + d.Round(time.Second).String()
}

// What errors are about, judged by their words, and which options that concerns.
var (
	aboutAccess  = regexp.MustCompile(`(?i)\b40[137]\b|unauthor|forbidden|denied|password|credential|authentic|api.?key|\btoken\b|\bsasl\b`)
	aboutTLS     = regexp.MustCompile(`(?i)x509|certificate|\btls\b`)
	aboutAddress = regexp.MustCompile(`(?i)\b404\b|no such host|connection refused|\bdial\b|unreachable|not found`)
	address      = regexp.MustCompile(`^(url|urls|address|addresses|brokers|endpoint|dsn|hosts?)$`)
)

// optionOf is the option of an entry that an error is probably about, with its place;
// where none is, the entry.
func optionOf(f *worker.FlusherStatus, why string) string {
	first := func(is func(*worker.OptionStatus) bool) string {
		for i := range f.Options {
			if o := &f.Options[i]; is(o) {
				return fmt.Sprintf("option `%s`%s", o.Name, at(o.At))
			}
		}
		return ""
	}
	found := ""
	switch {
	case aboutAccess.MatchString(why):
		found = first(func(o *worker.OptionStatus) bool { return o.Secret })
	case aboutTLS.MatchString(why):
		found = first(func(o *worker.OptionStatus) bool { return strings.HasPrefix(o.Name, "tls.") })
	}
	if found == "" {
		found = first(func(o *worker.OptionStatus) bool {
			return regexp.MustCompile(`\b`+regexp.QuoteMeta(o.Name)+`\b`).MatchString(why) && len(o.Name) > 2
		})
	}
	if found == "" && aboutAddress.MatchString(why) {
		found = first(func(o *worker.OptionStatus) bool { return address.MatchString(o.Name) })
	}
	if found == "" && f.At != "" {
		found = fmt.Sprintf("the entry %s/%s (%s)", f.Route, f.Flusher, f.At)
	}
	return found
}
