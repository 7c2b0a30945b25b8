package protocol

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// logWriter appends logs one after the other to a LogGroupList, in the bytes that
// Marshal writes. Consecutive logs with an equal tail (what stands in their group
// behind the logs) share a group. Lengths stand before what they measure and are
// not known then, so room is left for the usual one, and what was written moves
// where that was wrong.
type logWriter struct {
	out []byte

	openGroup           // the last one
	before    openGroup // while a group of its own is written, the one before it
	logAt     int       // where the head of the log that is being written begins
	moved     []byte
}

// openGroup is a group to which logs are appended.
type openGroup struct {
	open bool
	at   int // where its head begins
	room int // and how long that is
	logs int
	tail []byte
}

// logRoom is the usual head of a log: tag, a length of two bytes, tag and five
// bytes of Time.
const logRoom = 9

// plainTail is that of logs without topic, source and tags.
var plainTail = []byte{tagCategory, 0, tagTopic, 0, tagSource, 0, tagMachineUUID, 0}

// beginGroup begins a group of about size bytes.
func (w *logWriter) beginGroup(size int) {
	w.open, w.logs = true, 0
	w.at, w.room = len(w.out), 1+sizeUvarint(uint64(size))
	w.out = append(w.out, make([]byte, w.room)...)
}

// beginOwnGroup begins a group that shares nothing, behind the open one, which stays
// as it is until endOwnGroup or dropOwnGroup.
func (w *logWriter) beginOwnGroup(size int) {
	w.before, w.openGroup = w.openGroup, w.before
	w.beginGroup(size)
}

// dropOwnGroup takes back what was written since beginOwnGroup.
func (w *logWriter) dropOwnGroup() {
	w.out = w.out[:w.at]
	w.before, w.openGroup = w.openGroup, w.before
}

// endOwnGroup closes the group, and before it the one that was open.
func (w *logWriter) endOwnGroup() {
	at := w.at
	w.closeGroup()
	w.before, w.openGroup = w.openGroup, w.before
	if w.open {
		w.moved = append(w.moved[:0], w.out[at:]...)
		w.out = w.out[:at]
		w.closeGroup()
		w.out = append(w.out, w.moved...)
	}
}

// closeGroup completes the open group, if there is one.
func (w *logWriter) closeGroup() {
	if !w.open {
		return
	}
	w.open = false
	w.out = append(w.out, w.tail...)
	size := uint64(len(w.out) - w.at - w.room)
	w.makeRoom(w.at, w.room, 1+sizeUvarint(size))
	w.out[w.at] = tagGroups
	binary.PutUvarint(w.out[w.at+1:], size)
}

// makeRoom turns the room for a head at i into one of another length.
func (w *logWriter) makeRoom(i, is, want int) {
	switch {
	case want < is:
		w.out = w.out[:i+want+copy(w.out[i+want:], w.out[i+is:])]
	case want > is:
		w.out = slices.Insert(w.out, i+is, make([]byte, want-is)...)
	}
}

// beginLog begins a log; left is about how much input there is, from it on.
func (w *logWriter) beginLog(left int) {
	if !w.open {
		w.beginGroup(left)
	}
	w.logAt = len(w.out)
	w.out = append(w.out, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

// dropLog takes back what was written since beginLog.
func (w *logWriter) dropLog() { w.out = w.out[:w.logAt] }

// endLog completes a log.
func (w *logWriter) endLog(t instant, tail []byte, left int) {
	if t.exact {
		w.out = binary.LittleEndian.AppendUint32(append(w.out, tagTimeNs), t.ns)
	}
	timed := 1 + sizeUvarint(uint64(t.sec))
	size := uint64(len(w.out) - w.logAt - logRoom + timed)
	if head := 1 + sizeUvarint(size) + timed; head != logRoom {
		w.makeRoom(w.logAt, logRoom, head)
	}
	h := w.out[w.logAt:]
	h[0] = tagLogs
	n := 1 + binary.PutUvarint(h[1:], size)
	h[n] = tagTime
	binary.PutUvarint(h[n+1:], uint64(t.sec))

	switch {
	case w.logs == 0:
		w.tail = append(w.tail[:0], tail...)
	case !bytes.Equal(w.tail, tail):
		w.moved = append(w.moved[:0], w.out[w.logAt:]...)
		w.out = w.out[:w.logAt]
		w.closeGroup()
		w.beginGroup(left)
		w.tail = append(w.tail[:0], tail...)
		w.out = append(w.out, w.moved...)
	}
	w.logs++
}

// cut takes out[from:to] of the log that is being written back.
func (w *logWriter) cut(from, to int) {
	w.out = w.out[:from+copy(w.out[from:], w.out[to:])]
}

// appendPair appends a content or a tag.
func appendPair(b []byte, tag byte, key, value []byte) []byte {
	k, v := len(key), len(value)
	if k+v+4 < 0x80 {
		b = append(b, tag, byte(k+v+4), tagKey, byte(k))
		b = append(b, key...)
		b = append(b, tagValue, byte(v))
		return append(b, value...)
	}
	b = append(b, tag)
	b = binary.AppendUvarint(b, uint64(sizeString(k)+sizeString(v)))
	return appendBytes(appendBytes(b, tagKey, key), tagValue, value)
}

func appendBytes(b []byte, tag byte, s []byte) []byte {
	b = binary.AppendUvarint(append(b, tag), uint64(len(s)))
	return append(b, s...)
}
