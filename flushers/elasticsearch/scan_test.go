package elasticsearch

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestAnswersThatAreBelieved(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		answer string
		logs   int
		fine   bool
	}{
		{`{"errors":false,"items":[{"create":{"status":201}},{"index":{"status":200}}]}`, 2, true},
		{` { "took" : 3 , "errors" : true , "items" : [ { "create" : { "_index" : "a" , "status" : 429 , "error" : { "type" : "x" } } } ] } `, 1, false},
		{`{"items":[{"create":{"error":"old text","status":400}}],"errors":true,"extra":[{"a":[1,-2.5e3,null,"\"}"]}]}`, 1, false},
		{`{"errors":false,"items":[]}`, 0, true},
	} {
		s, err := sumUp([]byte(tc.answer), tc.logs)
		if err != nil || s.fine != tc.fine {
			t.Errorf("%s: fine %v, %v; want fine %v", tc.answer, s.fine, err, tc.fine)
		}
	}
}

func TestAnswersThatAreNotBelieved(t *testing.T) {
	t.Parallel()
	whole := `{"errors":false,"items":[{"create":{"status":201}}]}`
	cases := map[string]string{
		"nothing":                      "",
		"a page":                       "<html>It works!</html>",
		"another object":               `{"acknowledged":true}`,
		"no items":                     `{"errors":false}`,
		"an item too few":              `{"errors":false,"items":[]}`,
		"an item too many":             `{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}`,
		"no word of errors":            `{"items":[{"create":{"status":201}}]}`,
		"errors, and none failed":      `{"errors":true,"items":[{"create":{"status":201}}]}`,
		"no errors, and one failed":    `{"errors":false,"items":[{"create":{"status":400}}]}`,
		"an item without status":       `{"errors":false,"items":[{"create":{}}]}`,
		"an item of two actions":       `{"errors":false,"items":[{"create":{"status":201},"index":{"status":201}}]}`,
		"an item that is none":         `{"errors":false,"items":[201]}`,
		"a comma too many":             `{"errors":false,"items":[{"create":{"status":201}},]}`,
		"a comma too few":              `{"errors":false,"items":[{"create":{"status":201}} {"create":{"status":201}}]}`,
		"something behind":             whole + "x",
		"two answers":                  whole + whole,
		"a status that is no number":   `{"errors":false,"items":[{"create":{"status":"201"}}]}`,
		"nested without end":           `{"errors":false,"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `,"items":[{"create":{"status":201}}]}`,
		"errors that are no yes or no": `{"errors":"false","items":[{"create":{"status":201}}]}`,
	}
	for i := range whole {
		cases[fmt.Sprintf("cut after %d", i)] = whole[:i]
	}
	for name, answer := range cases {
		if s, err := sumUp([]byte(answer), 1); err == nil {
			t.Errorf("%s: believed, as %+v", name, s)
		}
	}
}

func TestItemsAreReadInOrder(t *testing.T) {
	t.Parallel()
	r := reader{in: []byte(`{"errors":true,"items":[{"create":{"status":201}},` +
		`{"create":{"_id":"x","status":400,"error":{"caused_by":{"type":"inner"},"type":"mapper_parsing_exception","reason":"of \"a\""}}}]}`)}
	one, ok := r.next()
	if !ok || one.status != 201 {
		t.Errorf("the first is %+v, %v", one, ok)
	}
	two, ok := r.next()
	if !ok || two.status != 400 || string(two.typ) != "mapper_parsing_exception" || plain(two.reason) != `of "a"` {
		t.Errorf("the second is %d %s %s, %v", two.status, two.typ, two.reason, ok)
	}
	if it, ok := r.next(); ok {
		t.Errorf("there is a third: %+v", it)
	}
}

func TestReadingAnAnswerAllocatesNothing(t *testing.T) {
	answer := []byte(`{"errors":false,"items":[` + strings.Repeat(`{"create":{"status":201}},`, 999) + `{"create":{"status":201}}]}`)
	if n := testing.AllocsPerRun(10, func() {
		if _, err := sumUp(answer, 1000); err != nil {
			t.Fatal(err)
		}
	}); n > 4 {
		t.Errorf("%.0f allocations for a thousand items", n)
	}
}

// FuzzAnswer: whatever comes, it is read to its end without a panic, what is believed is
// JSON with as many items, and reading its items gives as many.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"errors":false,"items":[{"create":{"status":201}}]}`,
		`{"took":1,"errors":true,"items":[{"index":{"_id":"a","error":{"type":"t","reason":"\u00e4"},"status":429}}]}`,
		`{"error":"Content-Type header is not supported","status":406}`,
	} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, answer []byte, logs int) {
		wholeError(answer)
		s, err := sumUp(answer, logs)
		if err != nil {
			return
		}
		r := reader{in: answer}
		n, fine := 0, true
		for it, ok := r.next(); ok; it, ok = r.next() {
			n++
			fine = fine && (it.status == 200 || it.status == 201)
		}
		if n != logs || fine != s.fine {
			t.Errorf("%d items, fine %v; summed up %d, %v", n, fine, logs, s.fine)
		}
		var other struct {
			Items []json.RawMessage `json:"items"`
		}
		if json.Unmarshal(answer, &other) == nil && len(other.Items) != logs && !strings.Contains(strings.ToLower(string(answer)), `items"`) {
			t.Errorf("encoding/json finds %d items, we %d", len(other.Items), logs)
		}
	})
}
