package elasticsearch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// item is what a server answered for one log. Texts are as they stand in the answer.
type item struct {
	status             int
	typ, reason, cause []byte
}

// summary of an answer.
type sum struct {
	fine bool // each log was stored anew
}

// sumUp reads a whole answer to that many logs and says whether it can be believed.
// It keeps nothing of it, however many items there are.
func sumUp(answer []byte, logs int) (s sum, err error) {
	r := reader{in: answer}
	bad, said := false, false
	n, fine := 0, true
	found := r.object(func(name []byte) {
		switch string(name) {
		case "errors":
			bad, said = r.literal("true"), true
			if !bad && !r.literal("false") {
				r.wrong = true
			}
		case "items":
			for r.open('['); r.more(']'); n++ {
				it := r.item()
				fine = fine && (it.status == 200 || it.status == 201)
			}
		default:
			r.skip(0)
		}
	})
	switch {
	case !found || r.wrong || !r.ended():
		return s, fmt.Errorf("it is no answer to a bulk request: %.120q", answer)
	case n != logs:
		return s, fmt.Errorf("it has %d items", n)
	case !said:
		return s, errors.New("it does not say whether there are errors")
	case bad == fine:
		return s, fmt.Errorf("it says errors: %v, and its items say otherwise", bad)
	}
	return sum{fine: fine}, nil
}

// wholeError is what a server says when it refuses a whole request.
func wholeError(body []byte) (typ, reason string) {
	var said struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &said) != nil {
		return "", ""
	}
	var object struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	}
	if json.Unmarshal(said.Error, &object) == nil {
		return object.Type, shortened(object.Reason)
	}
	var text string
	_ = json.Unmarshal(said.Error, &text) // no text is nothing said
	return "", shortened(text)
}

// plain is a text of an answer, without its escapes.
func plain(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return shortened(string(quoted))
	}
	var s string
	if json.Unmarshal(append(append([]byte{'"'}, quoted...), '"'), &s) != nil {
		return shortened(string(quoted))
	}
	return shortened(s)
}

// longest is how much of a reason is shown.
const longest = 1 << 10

func shortened(s string) string {
	if len(s) > longest {
		return s[:longest] + "..."
	}
	return s
}
