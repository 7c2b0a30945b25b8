package protocol

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// linesApart is what ByLine has to give: each line scanned alone.
func linesApart(text []byte, f Format) (logs []string, bad int) {
	at := 0
	for _, line := range bytes.SplitAfter(text, []byte("\n")) {
		p := Payload{Value: bytes.TrimSuffix(line, []byte("\n")), Format: f, Time: time.Unix(7, 0)}
		if len(bytes.TrimSpace(line)) > 0 {
			_, groups, err := p.Scan(nil, nil)
			if err != nil {
				return logs, at
			}
			logs = append(logs, asLogs(groups)...)
		}
		at += len(line)
	}
	return logs, -1
}

func asLogs(groups []Group) (logs []string) {
	for i := range groups {
		g := groups[i].Decode()
		for _, l := range g.Logs {
			logs = append(logs, string(AppendJSONLog(nil, g, l)))
		}
	}
	return logs
}

func TestLinesStandForThemselves(t *testing.T) {
	t.Parallel()
	pieces := []string{
		`{"a":"1"}`, `{"contents":{"k":"v"},"tags":{"t":"x"},"time":5}`, `{"contents":{"k":"v"},"tags":{"t":"y"},"time":5}`,
		`{"Logs":[{"Time":3,"Contents":[{"Key":"a","Value":"b"}]}],"Topic":"t"}`, `[{"a":"1"},{"b":"2"}]`, "", " \r",
		`{"a":1,`, `{"a":`, `"b":2}`, `{"a":"b`, `[`, `]`, `{"a":1} {"b":2}`, `{"contents":{"k":"v"},"tags":{"t":"x"},"time":"no"}`, `{"a":"\`,
	}
	rapid.Check(t, func(t *rapid.T) {
		good := rapid.IntRange(0, 12).Draw(t, "good")
		var text []string
		for range good {
			text = append(text, rapid.SampledFrom(pieces[:7]).Draw(t, "line"))
		}
		text = append(text, rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 4).Draw(t, "rest")...)
		value := []byte(strings.Join(text, "\n"))
		want, wantBad := linesApart(value, FormatJSON)

		p := Payload{Value: value, Format: FormatJSON, ByLine: true, Time: time.Unix(7, 0)}
		_, groups, err := p.Scan(nil, nil)
		var bad *LineError
		if errors.As(err, &bad) {
			if bad.Offset != wantBad || bad.End <= bad.Offset || bad.End < len(value) && value[bad.End-1] != '\n' {
				t.Fatalf("the bad line is [%d,%d), want one at %d: %v", bad.Offset, bad.End, wantBad, err)
			}
			p.Value = value[:bad.Offset]
			if _, groups, err = p.Scan(nil, nil); err != nil {
				t.Fatalf("the lines before the first bad one: %v", err)
			}
		} else if err != nil || wantBad >= 0 {
			t.Fatalf("error %v, want a bad line at %d", err, wantBad)
		}
		if diff := cmp.Diff(want, asLogs(groups)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestLinesOfText(t *testing.T) {
	t.Parallel()
	p := Payload{Value: []byte("a\r\n\n \t\n b\nc"), Format: FormatText, ByLine: true, Time: time.Unix(7, 9)}
	body, groups, err := p.Scan(nil, nil)
	if err != nil || len(groups) != 1 || !body.Fresh {
		t.Fatalf("%d groups, fresh %v, %v", len(groups), body.Fresh, err)
	}
	want := &LogGroup{Logs: []*Log{
		{Time: 7, Contents: []*Log_Content{{Key: "content", Value: "a"}}},
		{Time: 7, Contents: []*Log_Content{{Key: "content", Value: " b"}}},
		{Time: 7, Contents: []*Log_Content{{Key: "content", Value: "c"}}},
	}}
	if diff := cmp.Diff(want, groups[0].Decode()); diff != "" {
		t.Error(diff)
	}
	p.Value = []byte("\n \n")
	if _, groups, err = p.Scan(nil, nil); err != nil || len(groups) > 0 {
		t.Errorf("empty lines: %d groups, %v", len(groups), err)
	}
}

func TestFramesInMemory(t *testing.T) {
	t.Parallel()
	id := ID{Group: 3}
	copy(id.Origin[:], "0123456789abcdef")
	key := Key{Project: "p", Logstore: "l", Config: "c"}
	file := AppendFrame(nil, id, key, []byte("data"))
	n, err := FrameLength(file, 100)
	if err != nil || n != len(file) {
		t.Fatalf("length %d of %d, %v", n, len(file), err)
	}
	f, err := ParseFrame(file)
	if diff := cmp.Diff(Frame{ID: id, Key: key, Data: []byte("data")}, f); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := FrameLength(file, 3); err == nil {
		t.Error("a LogGroup above the limit is accepted")
	}
	junk := []byte("\xf1LG\x01 no frame \xf1L")
	if at := FindFrame(append(bytes.Clone(junk), file...)); at != len(junk) {
		t.Errorf("found at %d, want %d", at, len(junk))
	}
	if at := FindFrame(file[:FrameHead-1]); at != -1 {
		t.Errorf("half a head is found at %d", at)
	}
	for i := range file {
		b := bytes.Clone(file)
		b[i] ^= 0x40
		_, err := FrameLength(b, 100)
		if err == nil {
			_, err = ParseFrame(b)
		}
		if err == nil {
			t.Errorf("byte %d changed and nobody noticed", i)
		}
	}
	if _, err := FrameLength(file[:10], 100); err == nil {
		t.Error("half a head has a length")
	}
}
