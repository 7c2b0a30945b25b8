package protocol

import (
	"bytes"
	"encoding/binary"
	"time"
)

// Payload is the value of one message, and how it is to be read.
type Payload struct {
	Value    []byte
	Format   Format
	Encoding Encoding
	Time     time.Time // of logs that name none: the broker's time of the message

	// ByLine says that each line of JSON or text stands for itself: no value of JSON
	// goes on in the next line, and each line of text is a log. Lines without anything
	// but white space are passed over. A line that cannot be read makes the error a
	// *LineError.
	ByLine bool
}

// Body is a value after pass one: protobuf, which groups alias.
type Body struct {
	Bytes  []byte
	Format Format // FormatLogGroup or FormatLogGroupList

	// Fresh says that Bytes are no part of the value but memory of their own, whose
	// capacity exceeds its length by at most an eighth.
	Fresh bool
}

// LineError says which line of a value cannot be read, the first of them, and why.
// Those before it can.
type LineError struct {
	Offset, End int // the line within the value, its newline included
	Reason      string
}

func (e *LineError) Error() string { return "couldn't decode the line: " + e.Reason }

// Scan is pass one over a value as received. It decompresses, turns what is no
// LogGroup protobuf into a LogGroupList, checks the framing of all fields, counts,
// and appends what it learns of each LogGroup to groups. The same value gives the
// same groups each time, except that logs without a time take Time's seconds.
//
// No group is legal: an empty value, an empty list. The error is an
// *UndecodableError, or a *LineError, and then groups are as they came. lim may be
// nil.
func (p *Payload) Scan(lim *Limits, groups []Group) (body Body, out []Group, err error) {
	limits := lim.orDefaults()
	if body, err = p.body(&limits); err != nil {
		return Body{}, groups, err
	}
	out, wrong := scan(body.Bytes, body.Format, &limits, groups)
	if wrong != "" {
		return Body{}, groups, undecodable("this is no %v: %s", p.Format.label(body.Format), wrong)
	}
	return body, out, nil
}

// label names a format for an error: with auto, what it took the value for.
func (f Format) label(found Format) string {
	if f == FormatAuto {
		return found.String() + " (which its first bytes look like)"
	}
	return f.String()
}

// body is the value as protobuf.
func (p *Payload) body(lim *Limits) (Body, error) {
	b, err := decompress(p.Value, p.Encoding, lim)
	if err != nil {
		return Body{}, err
	}
	f := p.Format
	if f == FormatAuto {
		if f, err = detect(b); err != nil {
			return Body{}, err
		}
	}
	switch f {
	case FormatLogGroup, FormatLogGroupList:
		return Body{Bytes: b, Format: f, Fresh: p.Encoding != EncodingNone}, nil
	}
	wrong := ""
	switch f {
	case FormatPackage, FormatPackageList:
		b, wrong = unpack(b, f, lim)
	case FormatJSON, FormatJSONSingle, FormatJSONFlat:
		var bad *LineError
		if b, bad, wrong = groupsOfJSON(b, f, p.ByLine, p.Time, int(lim.Decompressed)); bad != nil {
			return Body{}, bad
		}
	case FormatText:
		if p.ByLine {
			b = groupOfLines(b, p.Time)
			break
		}
		b = groupOfText(b, p.Time)
	default:
		return Body{}, undecodable("%v is no format of values", f)
	}
	if wrong != "" {
		return Body{}, undecodable("this is no %v: %s", p.Format.label(f), wrong)
	}
	return Body{Bytes: b, Format: FormatLogGroupList, Fresh: true}, nil
}

// Rewritten says that a value of this format becomes protobuf in memory of its
// own.
func (f Format) Rewritten(value []byte) bool {
	switch f {
	case FormatLogGroup, FormatLogGroupList:
		return false
	case FormatAuto:
		found, err := detect(value)
		return err == nil && found.Rewritten(nil)
	}
	return true
}

// groupOfText is a list of one group with one log, whose content is the text.
// Nothing makes no group.
func groupOfText(text []byte, now time.Time) []byte {
	if len(text) == 0 {
		return nil
	}
	sec := uint64(at(now.Unix(), 0).sec)
	log := 1 + sizeUvarint(sec) + sizeString(sizeString(len(textKey))+sizeString(len(text)))
	group := sizeString(log) + len(plainTail)
	b := make([]byte, 0, sizeString(group))
	b = binary.AppendUvarint(append(b, tagGroups), uint64(group))
	b = binary.AppendUvarint(append(b, tagLogs), uint64(log))
	b = binary.AppendUvarint(append(b, tagTime), sec)
	b = appendPair(b, tagContents, []byte(textKey), text)
	return append(b, plainTail...)
}

// groupOfLines is a list of one group with a log for each line that is more than
// white space. The end of a line, "\n" or "\r\n", is no part of its content.
func groupOfLines(text []byte, now time.Time) []byte {
	const overhead = 24 // of a log with textKey
	t := at(now.Unix(), 0)
	t.exact = false
	w := logWriter{out: make([]byte, 0, len(text)+len(text)/16+overhead*(1+bytes.Count(text, newline)))}
	key := []byte(textKey)
	for i := 0; i < len(text); {
		next := i + lineLength(text[i:])
		line := bytes.TrimSuffix(bytes.TrimSuffix(text[i:next], newline), []byte{'\r'})
		if len(bytes.TrimSpace(line)) > 0 {
			w.beginLog(len(text) - i)
			w.out = appendPair(w.out, tagContents, key, line)
			w.endLog(t, plainTail, len(text)-i)
		}
		i = next
	}
	w.closeGroup()
	return fitted(w.out)
}

var newline = []byte{'\n'}

// textKey is the key of a log that is a text, as iLogtail calls it.
const textKey = "content"
