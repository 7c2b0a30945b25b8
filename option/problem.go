package option

import (
	"fmt"
	"sort"
)

// Problem is one thing that is wrong with a configuration, and where.
type Problem struct {
	Pos     Pos
	Path    string // "limits.window"; a Validator gives it relative to its struct
	Message string // lower case, no full stop; names the key
	Hint    string // what to do about it; may be empty
	Warning bool
}

// Text is the message and the hint in one line.
func (p *Problem) Text() string {
	if p.Hint == "" {
		return p.Message
	}
	return p.Message + "; " + p.Hint
}

// Errorf makes a problem of a Validator: path is the key it is about ("url",
// "tls.cert"), relative to the struct; empty means the block itself.
func Errorf(path, format string, args ...any) Problem {
	return Problem{Path: path, Message: fmt.Sprintf(format, args...)}
}

// Warnf is Errorf for something that works but is probably not meant.
func Warnf(path, format string, args ...any) Problem {
	return Problem{Path: path, Message: fmt.Sprintf(format, args...), Warning: true}
}

// Failed says whether there is an error among the problems.
func Failed(problems []Problem) bool {
	for i := range problems {
		if !problems[i].Warning {
			return true
		}
	}
	return false
}

// Sort puts problems in the order of the file.
func Sort(problems []Problem) {
	sort.SliceStable(problems, func(i, j int) bool {
		a, b := problems[i].Pos, problems[j].Pos
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
}

// Validator is implemented by option structs (by their pointer) whose fields
// depend on each other. Validate is called after decoding, unless something in
// the struct could not be decoded; the paths it returns are relative to the
// struct, and positions are filled in. Never put the value of a Secret into a
// message. Validate may also return one error, joined from one for each problem;
// each begins with the path it is about ("ack_wait is 2s: ..."). A message that
// does not name its key gets it in front.
type Validator interface{ Validate() []Problem }

// Defaulter is implemented by option structs (by their pointer) that decoding
// creates: behind a pointer or in a list. Defaults fills an empty struct.
type Defaulter interface{ Defaults() }
