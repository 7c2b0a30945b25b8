package protocol_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/protocol"
)

func readFrames(r io.Reader, max int64) (frames []protocol.Frame, end int64, err error) {
	fr := protocol.NewFrameReader(r, max)
	for {
		f, err := fr.Next()
		if err != nil {
			return frames, fr.Offset(), err
		}
		frames = append(frames, f)
	}
}

func drawFrames(t *rapid.T) (want []protocol.Frame, file []byte) {
	for range rapid.IntRange(0, 4).Draw(t, "frames") {
		f := protocol.Frame{
			Offset: int64(len(file)),
			Key: protocol.Key{
				Project:  rapid.String().Draw(t, "project"),
				Logstore: rapid.String().Draw(t, "logstore"),
				Config:   rapid.String().Draw(t, "config"),
			},
			Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data"),
		}
		copy(f.ID.Origin[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "origin"))
		f.ID.Group = rapid.Uint32().Draw(t, "group")
		file = protocol.AppendFrame(file, f.ID, f.Key, f.Data)
		want = append(want, f)
	}
	return want, file
}

func TestFramesRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want, file := drawFrames(t)
		got, end, err := readFrames(iotest.OneByteReader(bytes.NewReader(file)), 0)
		if !errors.Is(err, io.EOF) || end != int64(len(file)) {
			t.Fatalf("ended at %d of %d with %v", end, len(file), err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		size := 0
		for i := range want {
			size += protocol.FrameSize(want[i].Key, len(want[i].Data))
		}
		if size != len(file) {
			t.Fatalf("FrameSize sums to %d of %d", size, len(file))
		}
	})
}

// threeFrames have known places: 0, ends[0], ends[1].
func threeFrames() (file []byte, ends [3]int) {
	for i := range ends {
		id := protocol.ID{Origin: [16]byte{1, 2, 3}, Group: uint32(i)}
		file = protocol.AppendFrame(file, id, protocol.Key{Project: "shop", Logstore: "cart"}, sample(1).AppendMarshal(nil))
		ends[i] = len(file)
	}
	return file, ends
}

func TestFrameVector(t *testing.T) {
	t.Parallel()
	got := protocol.AppendFrame(nil, protocol.ID{Origin: [16]byte{0xaa}, Group: 7}, protocol.Key{Project: "p", Logstore: "ls", Config: "c"}, []byte{0x12, 0x00})
	want := unhex(t, "f1 4c 47 01  02000000 01000000 02000000 01000000  aa000000000000000000000000000000 07000000"+
		"5ae23467 70 6c73 63 1200 52eeb082")
	if !bytes.Equal(got, want) {
		t.Errorf("the format changed: got\n%x, want\n%x", got, want)
	}
}

func TestFilesCutAtEveryByteAreTorn(t *testing.T) {
	t.Parallel()
	file, ends := threeFrames()
	for n := range file {
		whole := 0
		for whole < 3 && ends[whole] <= n {
			whole++
		}
		boundary := n == 0 || whole > 0 && ends[whole-1] == n
		for _, tail := range [][]byte{nil, make([]byte, 1), make([]byte, 9000)} {
			frames, end, err := readFrames(bytes.NewReader(append(bytes.Clone(file[:n]), tail...)), 0)
			want := protocol.ErrTorn
			if boundary && tail == nil {
				want = io.EOF
			}
			if n+len(tail) == ends[whole] {
				continue // as long as it was: the last byte is damaged, or was a zero
			}
			if len(frames) != whole || !errors.Is(err, want) || whole > 0 && end != int64(ends[whole-1]) {
				t.Fatalf("cut at %d with %d zeros: %d frames to %d, %v; want %d and %v", n, len(tail), len(frames), end, err, whole, want)
			}
		}
	}
}

func TestChangedFramesAreCorrupt(t *testing.T) {
	t.Parallel()
	file, ends := threeFrames()
	for n := range file {
		changed := bytes.Clone(file)
		changed[n] ^= 0x20
		whole := 0
		for ends[whole] <= n {
			whole++
		}
		frames, end, err := readFrames(bytes.NewReader(changed), 0)
		var c *protocol.CorruptFrameError
		if !errors.As(err, &c) || len(frames) != whole || c.Offset != end || whole > 0 && end != int64(ends[whole-1]) {
			t.Fatalf("byte %d changed: %d frames to %d, %v", n, len(frames), end, err)
		}
	}
}

func TestFrameReaderErrors(t *testing.T) {
	t.Parallel()
	file, ends := threeFrames()
	broken := errors.New("disk on fire")
	newer := bytes.Clone(file)
	newer[ends[0]+3] = 2
	for _, c := range []struct {
		name string
		r    io.Reader
		max  int64
		want string
	}{
		{"a failing disk", io.MultiReader(bytes.NewReader(file[:ends[0]+60]), iotest.ErrReader(broken)), 0, "disk on fire"},
		{"a failing disk at a boundary", io.MultiReader(bytes.NewReader(file[:ends[0]]), iotest.ErrReader(broken)), 0, "disk on fire"},
		{"a cut stream below", io.MultiReader(bytes.NewReader(file[:ends[0]+60]), iotest.ErrReader(io.ErrUnexpectedEOF)), 0, "inside a frame"},
		{"a limit", bytes.NewReader(file), 100, "longer than allowed"},
		{"a newer version", bytes.NewReader(newer), 0, "version 2 is not known"},
		{"text", strings.NewReader("hello, this is no frame"), 0, "does not begin like a frame"},
		{"text after zeros", io.MultiReader(bytes.NewReader(make([]byte, 5000)), strings.NewReader("x")), 0, "corrupt frame at byte 0"},
	} {
		fr := protocol.NewFrameReader(c.r, c.max)
		var err error
		for err == nil {
			_, err = fr.Next()
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if _, again := fr.Next(); !errors.Is(again, err) {
			t.Errorf("%s: the error is not final: %v", c.name, again)
		}
	}
}

// A whole head that claims 60 MiB costs a step of memory, not 60 MiB.
func TestFrameClaimsAreNotBelieved(t *testing.T) {
	file := protocol.AppendFrame(nil, protocol.ID{}, protocol.Key{}, make([]byte, 60<<20))[:100]
	var err error
	if used := allocatedBy1(func() { _, _, err = readFrames(bytes.NewReader(file), 0) }); used > 3<<20 {
		t.Errorf("%d bytes allocated", used)
	}
	if !errors.Is(err, protocol.ErrTorn) {
		t.Error(err)
	}
}

func FuzzFrameReader(f *testing.F) {
	file, ends := threeFrames()
	f.Add(file)
	f.Add(file[:ends[1]+20])
	f.Add(append(bytes.Clone(file[:ends[0]+50]), make([]byte, 500)...))
	huge := bytes.Clone(file)
	binary.LittleEndian.PutUint32(huge[4:], 1<<31)
	f.Add(huge)
	f.Fuzz(func(t *testing.T, data []byte) {
		frames, end, err := readFrames(bytes.NewReader(data), 1<<20)
		var c *protocol.CorruptFrameError
		if !errors.Is(err, io.EOF) && !errors.Is(err, protocol.ErrTorn) && !errors.As(err, &c) {
			t.Fatalf("%T %v", err, err)
		}
		var again []byte
		for i := range frames {
			again = protocol.AppendFrame(again, frames[i].ID, frames[i].Key, frames[i].Data)
		}
		if !bytes.Equal(again, data[:end]) {
			t.Fatal("what was read does not write the same bytes")
		}
	})
}
