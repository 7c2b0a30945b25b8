package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/internal/filelock"
)

const (
	fileMode = 0o640
	dirMode  = 0o750
	triesFor = 1000 // numbers, when others take one after the other
)

// openNext opens the newest file of the series if it can take n bytes more, else
// a new one.
func (s *series) openNext(n int64, log *zap.Logger) error {
	if err := s.makeDirs(); err != nil {
		return err
	}
	if s.number == 0 {
		if err := s.findNewest(); err != nil {
			return err
		}
	}
	if s.number > 0 && !s.spoilt {
		ok, err := s.resume(n, log)
		if err != nil || ok {
			return err
		}
	}
	return s.create()
}

// makeDirs makes the directories above the file, one by one, so that each may
// also be made by another process.
func (s *series) makeDirs() error {
	for i, c := range s.name.dir + "/" {
		if c != '/' || s.name.dir == "." {
			continue
		}
		if err := s.key.vol.root.Mkdir(s.name.dir[:i], dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("couldn't make a directory: %w", err)
		}
	}
	return nil
}

// findNewest looks for the highest number in the directory.
func (s *series) findNewest() error {
	names, err := s.key.vol.list(s.name.dir)
	if err != nil {
		return fmt.Errorf("couldn't look for the newest file: %w", err)
	}
	for _, base := range names {
		s.number = max(s.number, s.name.number(base))
	}
	return nil
}

// resume goes on with the newest file, after cutting off what a crash left. It
// is not ok if the file is gone, full, old, locked by another process, or not
// what we write; then the next number begins.
func (s *series) resume(n int64, log *zap.Logger) (ok bool, err error) {
	p := s.name.file(s.number)
	f, err := s.key.vol.root.OpenFile(p, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("couldn't open the newest file: %w", err)
	}
	locked, err := s.adopt(f, p)
	if err != nil || !locked {
		return false, err
	}
	ok, err = s.mend(log)
	if err == nil && ok && !s.worn(n) {
		return true, s.syncDirs() // who made it may have died before
	}
	_ = s.file.Close()
	s.file = nil
	return false, err
}

// create makes the file with the next free number. It and the directories above
// are synced before anything is written, so a name never gets lost.
func (s *series) create() error {
	for range triesFor {
		s.number++
		p := s.name.file(s.number)
		f, err := s.key.vol.root.OpenFile(p, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("couldn't create a file: %w", err)
		}
		locked, err := s.adopt(f, p)
		if err != nil {
			return err
		}
		if !locked {
			continue // another process of our name was faster to go on with it
		}
		s.spoilt, s.size, s.known, s.born = false, 0, 0, time.Now()
		return s.syncDirs()
	}
	return fmt.Errorf("couldn't find a free number for %s: other processes with the host name %q take them all; give each worker its own host",
		s.name.file(s.number), s.key.layout.host)
}

// adopt locks a file and makes it the series' own. Not locked means that another
// process has it.
func (s *series) adopt(f *os.File, p string) (locked bool, err error) {
	locked, err = filelock.Try(f)
	if err != nil || !locked {
		_ = f.Close()
		if err != nil {
			err = fmt.Errorf("couldn't lock %s; root must be on a file system with locks: %w", p, err)
		}
		return false, err
	}
	s.file, s.path = s.store.wrap(f), p
	return true, nil
}

// mend cuts off a torn end. It is not ok if the file is not what we write.
func (s *series) mend(log *zap.Logger) (ok bool, err error) {
	info, err := s.file.Stat()
	if err != nil {
		return false, fmt.Errorf("couldn't look at the newest file: %w", err)
	}
	if s.known > 0 && s.known == info.Size() {
		s.size = s.known // and s.born is still true
		return true, nil
	}
	s.born = info.ModTime() // at most the time of its last write too young
	whole, err := wholeLength(s.file, info.Size(), &s.key.layout)
	if errors.Is(err, errForeign) {
		log.Warn("the newest file is not what this flusher writes; it is left alone and the next begins",
			zap.String("file", s.path), zap.Error(err))
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("couldn't read the newest file: %w", err)
	}
	s.size = whole
	if whole == info.Size() {
		return true, nil
	}
	log.Info("a crash left the end of a file half written; it is cut off, as it never was acknowledged",
		zap.String("file", s.path), zap.Int64("bytes", info.Size()-whole))
	if err := s.file.Truncate(whole); err != nil {
		return false, fmt.Errorf("couldn't cut off the torn end of the newest file: %w", err)
	}
	return true, nil
}

// syncDirs makes the file's name durable, and the names of the directories above
// it: another lane may have made them and not have synced them yet.
func (s *series) syncDirs() error {
	for dir := s.name.dir; ; dir = path.Dir(dir) {
		if err := s.store.syncDir(s.key.vol.root, dir); err != nil {
			return fmt.Errorf("couldn't sync the directory %s: %w", dir, err)
		}
		if dir == "." {
			return nil
		}
	}
}
