package file

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/mutant"
)

// commit writes a batch behind what is durable and syncs. If either fails,
// nothing of the batch stays in the file.
func (s *series) commit(batch []*write) error {
	end := s.size
	for _, w := range batch {
		n, err := s.file.WriteAt(w.data, end)
		end += int64(n)
		if err != nil {
			return s.cutBack(err)
		}
	}
	if mutant.On(mutant.FileNoSync) {
		s.size = end
		return nil
	}
	if err := s.file.Sync(); err != nil {
		return s.distrust(err)
	}
	s.size = end
	return nil
}

// cutBack takes away what was written in part. A file that cannot be cut is left
// with a torn end, like after a crash, and a new one begins.
func (s *series) cutBack(err error) error {
	if noSpace(err) {
		s.key.vol.setFull()
	}
	if cut := s.file.Truncate(s.size); cut != nil {
		s.spoil()
		return fmt.Errorf("%w; and couldn't cut off what was written in part: %w", err, cut)
	}
	return err
}

// distrust gives up a file whose sync failed: the kernel may have dropped the
// pages and say that all is well the next time. What was synced before is safe.
func (s *series) distrust(err error) error {
	if noSpace(err) {
		s.key.vol.setFull()
	}
	_ = s.file.Truncate(s.size) // so that the retry makes no duplicate; if it fails, it does
	s.spoil()
	return fmt.Errorf("couldn't sync; the file is given up and the next begins: %w", err)
}

func (s *series) spoil() {
	s.close()
	s.spoilt = true
}

// close closes the file, if there is one, and with it gives up its lock.
func (s *series) close() {
	if s.file != nil {
		_ = s.file.Close() // synced, so nothing can be lost here
		s.file, s.known = nil, s.size
	}
	s.store.free(s)
}

// prepare leaves a file open that takes n more bytes.
func (s *series) prepare(ctx context.Context, n int64, log *zap.Logger) error {
	if s.file != nil && !s.there() {
		log.Warn("a file was removed or replaced while it was open; the next begins", zap.String("file", s.path))
		s.spoil()
	}
	if s.file != nil && s.worn(n) {
		s.spoil()
	}
	if s.file != nil {
		return nil
	}
	if err := s.store.slot(ctx, s); err != nil {
		return err
	}
	if err := s.openNext(n, log); err != nil {
		s.close()
		if noSpace(err) {
			s.key.vol.setFull()
			return err
		}
		if tooMany(err) {
			s.keepFewer(log)
			return err
		}
		if passing(err) {
			return err
		}
		return flushers.Misconfigured(err)
	}
	return nil
}

// keepFewer is the answer to a process that is out of descriptors: waiting for a
// retry would not bring any back.
func (s *series) keepFewer(log *zap.Logger) {
	if limit, shrunk := s.store.shrink(); shrunk {
		log.Warn("the process may not open more files: from now on fewer are kept open; raise its limit (ulimit -n, LimitNOFILE)",
			zap.Int("open_files", limit))
	}
}

// worn says that the file must not take n more bytes.
func (s *series) worn(n int64) bool {
	l := &s.key.layout
	return s.size > 0 && s.size+n > l.maxSize || l.maxAge > 0 && s.size > 0 && time.Since(s.born) > l.maxAge
}

// there says that the path still leads to the open file.
func (s *series) there() bool {
	named, err := s.key.vol.root.Stat(s.path)
	if err != nil {
		return false
	}
	open, err := s.file.Stat()
	return err == nil && os.SameFile(named, open)
}
