package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// What follows is for those who hold the bytes of a file themselves, and look for
// the next frame when one is damaged.

// FrameHead is how many bytes FrameLength and FindFrame need of a frame.
const FrameHead = frameHead

// FrameLength is the length of the frame that begins b, or why none does. It looks at
// FrameHead bytes, whose checksum has to be right. max is the longest LogGroup.
func FrameLength(b []byte, max int64) (int, error) {
	switch {
	case len(b) < frameHead:
		return 0, errors.New("it ends inside the head of a frame")
	case string(b[:len(frameMagic)]) != frameMagic:
		return 0, errors.New("it does not begin like a frame")
	case binary.LittleEndian.Uint32(b[40:]) != crc32.Checksum(b[:40], castagnoli):
		return 0, errors.New("the checksum of its head is wrong")
	}
	n := framed(b)
	if reason := n.tooLong(max); reason != "" {
		return 0, errors.New(reason)
	}
	return int(frameHead + n.key() + n.data + frameTail), nil
}

// FindFrame is where the first whole head of a frame with the right checksum begins
// in b; -1: nowhere.
func FindFrame(b []byte) int {
	for from := 0; ; from++ {
		i := bytes.Index(b[from:], []byte(frameMagic))
		if i < 0 {
			return -1
		}
		if from += i; len(b)-from < frameHead {
			return -1
		}
		if head := b[from:]; binary.LittleEndian.Uint32(head[40:]) == crc32.Checksum(head[:40], castagnoli) {
			return from
		}
	}
}

// ParseFrame reads b, which is as long as FrameLength said. Data aliases it.
func ParseFrame(b []byte) (Frame, error) {
	n := framed(b)
	f, _, ok := n.frame(b[:frameHead], b[frameHead:])
	if !ok {
		return Frame{}, errors.New(wrongFrameSum)
	}
	return f, nil
}
