package logfile

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var compressions = []string{"none", "gzip", "zstd"}

func TestLinesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	text := jsonLines(5000)
	want := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, how := range compressions {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			cfg := DefaultConfig()
			s := sliceOf(t, &cfg, written(t, "a", compressed(t, how, text[:1000], text[1000:])))
			a, err := readAll(inputOf(t, &cfg), &s, 0, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, a.logs(t)); diff != "" {
				t.Error(diff)
			}
			if a.next != int64(len(text)) || len(a.damage) > 0 {
				t.Errorf("next %d of %d, damage %v", a.next, len(text), a.damage)
			}
			for i := range a.messages {
				if n := len(a.messages[i].Value); n > packBytes*3/2 {
					t.Errorf("a message has %d bytes", n)
				}
			}
		})
	}
}

func TestABadLineIsAloneAndTheGoodOnesAreDelivered(t *testing.T) {
	t.Parallel()
	bad := []string{`{"a":1,`, `{"a":`, `{"a":"b`, `x`, `{"a":1} {"b":2}`, `[{"a":1},`, strings.Repeat("y", 70<<10)}
	var text bytes.Buffer
	var want []string
	for i := range 3000 {
		if i%400 == 100 {
			text.WriteString(bad[i/400%len(bad)] + "\n")
		}
		want = append(want, jsonLine(i))
		text.WriteString(jsonLine(i) + "\r\n")
		if i%900 == 0 {
			text.WriteString("\n \t\r\n")
		}
	}
	cfg := DefaultConfig()
	s := sliceOf(t, &cfg, written(t, "a", text.Bytes()))
	a, err := readAll(inputOf(t, &cfg), &s, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, a.logs(t)); diff != "" {
		t.Error(diff)
	}
	if len(a.damage) != 8 {
		t.Fatalf("damage: %v", a.damage)
	}
	for i, d := range a.damage {
		line := bad[i%len(bad)]
		if got := string(text.Bytes()[d.Offset : d.Offset+d.Length]); got != line+"\n" {
			t.Errorf("damage %d is %.40q, want %.40q", i, got, line)
		}
		if d.Why == "" {
			t.Error("no reason")
		}
	}
	for i := range a.messages {
		if v, is := a.messages[i].Header("x-flushline-damage"); is {
			if v == "" || len(a.messages[i].Value) > damageBytes {
				t.Errorf("damage message: %q, %d bytes", v, len(a.messages[i].Value))
			}
		}
	}
}

func TestOddLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("z", 600<<10)
	huge := strings.Repeat("z", 3<<20)
	for _, tc := range []struct {
		name, format, file, text string
		logs, damage             int
		next                     int64
	}{
		{"no newline at the end", "auto", "a", jsonLine(1) + "\n" + jsonLine(2), 2, 0, -1},
		{"half a line at the end", "auto", "a", jsonLine(1) + "\n" + jsonLine(2)[:20], 1, 1, -1},
		{"nothing", "auto", "a", "", 0, 0, 0},
		{"empty lines only", "json", "a", "\n\n \n", 0, 0, 4},
		{"byte order mark", "auto", "a", byteOrderMark + jsonLine(1) + "\n", 1, 0, -1},
		{"byte order mark only", "json", "a", byteOrderMark, 0, 0, 0},
		{"byte order mark and a bad line", "json", "a", byteOrderMark + "x\n" + jsonLine(1), 1, 1, -1},
		{"array in a line", "auto", "a", `[{"a":"1"},{"a":"2"}]` + "\n", 2, 0, -1},
		{"a group in a line", "auto", "a", `{"Logs":[{"Time":1,"Contents":[{"Key":"a","Value":"b"}]}],"Topic":"t"}` + "\n" + `{"a":"1"}` + "\n", 2, 0, -1},
		{"a long line", "auto", "a", jsonLine(1) + "\n" + `{"a":"` + long + `"}` + "\n" + jsonLine(2) + "\n", 3, 0, -1},
		{"a long last line", "auto", "a", jsonLine(1) + "\n" + `{"a":"` + long + `"}`, 2, 0, -1},
		{"a bad long line", "auto", "a", jsonLine(1) + "\n" + `{"a":"` + long + "\n" + jsonLine(2) + "\n", 2, 1, -1},
		{"a line that is too long", "auto", "a", jsonLine(1) + "\n" + `{"a":"` + huge + `"}` + "\n" + jsonLine(2) + "\n", 2, 1, -1},
		{"a last line that is too long", "auto", "a", jsonLine(1) + "\n" + `{"a":"` + huge, 1, 1, -1},
		{"text by name", "auto", "app.log.3", "hello\r\n\r\nworld\n  \nlast", 3, 0, -1},
		{"text by option", "text", "a", "{\n}\n", 2, 0, -1},
		{"JSON in a log", "auto", "app.log", jsonLine(1) + "\n", 1, 0, -1},
		{"first line bad, by name", "auto", "a.jsonl", "torn\"}\n" + jsonLine(1) + "\n", 1, 1, -1},
		{"first line bad", "auto", "a", "torn\"}\n" + jsonLine(1) + "\n", 1, 1, -1},
		{"first line cut off", "auto", "a", `{"a":1,` + "\n" + jsonLine(1) + "\n", 1, 1, -1},
		{"no format: text without a name", "auto", "a", "hello\nworld\n", 0, 1, -1},
		{"no format: binary", "auto", "a", "\x7fELF\x00\x01" + long, 0, 1, -1},
		{"empty lines first", "auto", "a", "\n\n" + jsonLine(1) + "\n", 1, 0, -1},
		{"one value over many lines", "auto", "a.json", "[\n {\"a\":\"1\"},\n {\"a\":\"2\"}\n]\n", 2, 0, 1},
		{"one object over many lines", "auto", "a.json", "{\n \"a\":\"1\"\n}\n", 1, 0, 1},
	} {
		for _, how := range compressions {
			t.Run(tc.name+" "+how, func(t *testing.T) {
				t.Parallel()
				cfg := DefaultConfig()
				cfg.Format = tc.format
				s := sliceOf(t, &cfg, written(t, tc.file, compressed(t, how, []byte(tc.text))))
				a, err := readAll(inputOf(t, &cfg), &s, 0, 1)
				if err != nil {
					t.Fatal(err)
				}
				if n := len(a.logs(t)); n != tc.logs || len(a.damage) != tc.damage {
					t.Errorf("%d logs, want %d; damage %v, want %d", n, tc.logs, a.damage, tc.damage)
				}
				want := tc.next
				if want < 0 {
					want = int64(len(tc.text))
				}
				if a.next != want && !strings.Contains(tc.name, "no format") {
					t.Errorf("next is %d, want %d", a.next, want)
				}
				resumes(t, inputOf(t, &cfg), &s, &a)
			})
		}
	}
}
