package javaserver

import (
	"io"
	"os"
)

// logTail is how much of a server's log is shown.
const logTail = 64 << 10

// Tail is the end of a log file, or why there is none.
func Tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > logTail {
		_, _ = f.Seek(-logTail, io.SeekEnd) // from the start is right too
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
