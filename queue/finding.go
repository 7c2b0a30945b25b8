package queue

import (
	"errors"
	"fmt"
)

// Severity says whether a setting stops a start.
type Severity int

// The severities.
const (
	Warning Severity = iota + 1 // somebody's choice that can lose or delay data; said, watched, obeyed
	Error                       // data would be lost or stall without anybody choosing it
)

func (s Severity) String() string { return [...]string{"", "warning", "error"}[s] }

// MarshalText makes a severity readable in JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is something at a broker that loses or stalls data.
type Finding struct {
	Severity Severity
	Object   string // "stream LOGS", "topic logs", "group flushline", "broker 3 (k3:9092)"
	Field    string // as the broker names it: "max_deliver", "retention.ms"
	Found    string
	Wanted   string
	Why      string // what would be lost or stalled
	Mend     string // the command that mends it

	Change any `json:"-"` // the value setup writes, in the broker's form; nil: setup does not touch it
}

func (f *Finding) String() string {
	return fmt.Sprintf("%s: %s is %s, want %s: %s; mend it with: %s", f.Object, f.Field, f.Found, f.Wanted, f.Why, f.Mend)
}

// Report is what a comparison of a broker with what keeps data safe has found.
type Report struct{ Findings []Finding }

// Err joins the findings that stop a start; nil if there are none.
func (r *Report) Err() error {
	var errs []error
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Severity == Error {
			errs = append(errs, errors.New(f.String()))
		}
	}
	return errors.Join(errs...)
}

// Warnings are the findings that do not stop a start.
func (r *Report) Warnings() []Finding {
	var w []Finding
	for _, f := range r.Findings {
		if f.Severity == Warning {
			w = append(w, f)
		}
	}
	return w
}

// MissingError says that something does not exist which a source reads.
type MissingError struct {
	What string // "stream", "consumer", "topic"
	Name string // "LOGS", "LOGS/flushline", "logs"
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s %s does not exist; create it with: flushline setup -c FILE", e.What, e.Name)
}

// MendBySetup is the command for what setup is ready to change.
const MendBySetup = "flushline setup --update -c FILE"
