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

	open      bool
	groupAt   int // where the group's head begins
	groupRoom int // and how long it is
	logs      int // in the group
	logAt     int // where the head of the log that is being written begins

	tail  []byte // of the open group
	moved []byte
}

// logRoom is the usual head of a log: tag, a length of two bytes, tag and five
// bytes of Time.
const logRoom = 9

// plainTail is that of logs without topic, source and tags.
var plainTail = []byte{tagCategory, 0, tagTopic, 0, tagSource, 0, tagMachineUUID, 0}

// openGroup begins a group of about size bytes.
func (w *logWriter) openGroup(size int) {
	w.open, w.logs = true, 0
	w.groupAt, w.groupRoom = len(w.out), 1+sizeUvarint(uint64(size))
	w.out = append(w.out, make([]byte, w.groupRoom)...)
}

// closeGroup completes the open group, if there is one.
func (w *logWriter) closeGroup() {
	if !w.open {
		return
	}
	w.open = false
	w.out = append(w.out, w.tail...)
	size := uint64(len(w.out) - w.groupAt - w.groupRoom)
	w.makeRoom(w.groupAt, w.groupRoom, 1+sizeUvarint(size))
	w.out[w.groupAt] = tagGroups
	binary.PutUvarint(w.out[w.groupAt+1:], size)
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
		w.openGroup(left)
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
		w.openGroup(left)
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
