package nats

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/flushers/names"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
	queue "github.com/flushline/flushline/queue/nats"
)

// Validate finds what a single option cannot tell.
func (f *Flusher) Validate() []option.Problem {
	problems := problemsOf(f.Check())
	problems = append(problems, f.Options.Problems()...)
	problems = append(problems, f.subjectProblems()...)
	if err := checkStream(f.Stream); err != nil {
		problems = append(problems, option.Errorf("stream", "%v", err))
	}
	for name, value := range f.Headers {
		if err := checkHeader(name, &value); err != nil {
			problems = append(problems, option.Errorf("headers", "%v", err))
		}
	}
	if _, err := protocol.ParseEncoding(f.Compression); err != nil {
		problems = append(problems, option.Errorf("compression", "%v", err))
	}
	return problems
}

// problemsOf takes joined errors apart, each of which begins with its option.
func problemsOf(err error) []option.Problem {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []option.Problem
		for _, e := range joined.Unwrap() {
			all = append(all, problemsOf(e)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	path, _, _ := strings.Cut(err.Error(), " ")
	return []option.Problem{option.Errorf(strings.TrimSuffix(path, ","), "%v", err)}
}

func (f *Flusher) subjectProblems() []option.Problem {
	if problems := names.Problems("subject", &f.Subject, f.Names, names.NATSToken); len(problems) > 0 {
		return problems
	}
	if f.Format == formats.LogGroup && f.Subject.Uses("content") {
		return []option.Problem{option.Errorf("subject", "it uses a content, and with format loggroup a message is a whole group: write format: json, or use tags")}
	}
	return nil
}

func checkStream(name string) error {
	if strings.ContainsAny(name, ". */\\>\t\r\n") {
		return fmt.Errorf("%q must not hold dots, spaces, slashes or wildcards", name)
	}
	return nil
}

// checkHeader refuses names that cannot travel, that the server obeys, or that say what
// the message is.
func checkHeader(name string, value *protocol.Template) error {
	switch lower := strings.ToLower(name); {
	case name == "" || strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) >= 0:
		return fmt.Errorf("%q is no header name", name)
	case strings.HasPrefix(lower, "nats-"):
		return fmt.Errorf("%s is one that the server obeys: dedupe, stream and the stream's own configuration say what it does", name)
	case strings.HasPrefix(lower, "x-flushline-"):
		return fmt.Errorf("%s is one of flushline's own and cannot be set", name)
	case lower == protocol.HeaderContentType || lower == protocol.HeaderContentEncoding:
		return fmt.Errorf("%s follows from format and compression and cannot be set", name)
	}
	if strings.IndexFunc(value.String(), func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		return errors.New("the value of " + name + " has a control character")
	}
	return nil
}

// needsLogs says that names or headers depend on what is in a group.
func (f *Flusher) needsLogs() bool {
	if usesLogs(&f.Subject) {
		return true
	}
	for _, value := range f.Headers {
		if usesLogs(&value) {
			return true
		}
	}
	return false
}

func usesLogs(t *protocol.Template) bool { return t.Uses("date") || t.Uses("tag") || t.Uses("content") }

// Declare implements flushers.Declares: bytes that are passed on need no decoded
// groups, and a stream that gets no ids knows nothing twice.
func (f *Flusher) Declare(k *flushers.Kind) {
	k.Raw = f.Format == formats.LogGroup && !f.needsLogs()
	switch {
	case !f.Dedupe:
		k.Idempotence, k.Within = flushers.None, ""
	case f.Format == formats.OneJSON || f.Format == formats.Raw:
		k.Idempotence = flushers.PerLog
	}
}

// Place is the subject at these servers, and what is written there.
func (f *Flusher) Place() (where, what string) {
	what = f.Format
	if f.Compression != "none" {
		what += " in " + f.Compression
	}
	return queue.Redact(f.URL) + " " + f.Subject.String(), what
}

// Locate is the subject, with the placeholders that each log fills.
func (f *Flusher) Locate(project, logstore, config string) string {
	v := protocol.TemplateVars{Key: protocol.Key{Project: project, Logstore: logstore, Config: config}, Host: hostName()}
	where := "subject " + f.Subject.Known(&v, names.NATSToken.Safe, func(placeholder string) string { return placeholder })
	if f.Stream != "" {
		where += " of stream " + f.Stream
	}
	return where + " at " + queue.Redact(f.URL) + ", " + f.Format
}

func hostName() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown" // a subject has to have a token there
	}
	return host
}
