package embedded

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
)

const (
	roomEvery = time.Second
	roomNeed  = 1 << 20 // bytes that have to fit before the store is opened again
)

// mend opens the store again after a write failed. The server refuses all writes from
// then on, also when there is room again, until its store is opened anew; what was
// confirmed before is in it.
func (s *Server) mend(failed <-chan string, log *zap.Logger) {
	defer close(s.mended)
	for {
		select {
		case why := <-failed:
			log.Error("the embedded queue couldn't write and takes nothing more; its store is opened again as soon as there is room",
				zap.String("dir", s.cfg.Dir), zap.String("error", why))
		case <-s.closing:
			return
		}
		if !s.reopens(log) {
			return
		}
		for len(failed) > 0 {
			<-failed // of the store that is closed
		}
	}
}

// reopens waits for room and opens the store again. It is false when the server is
// being closed.
func (s *Server) reopens(log *zap.Logger) bool {
	t := time.NewTicker(roomEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.closing:
			return false
		}
		if s.room() != nil {
			continue
		}
		if err := s.reopen(); err != nil {
			log.Warn("couldn't open the embedded queue's store again; trying again", zap.Error(err))
			continue
		}
		log.Info("there is room: the embedded queue's store is open again", zap.String("dir", s.cfg.Dir))
		return true
	}
}

// room tries a write: quotas and reserved blocks make the file system's own answer
// wrong. What a process that was killed left of it is taken for the next.
func (s *Server) room() error {
	f, err := os.OpenFile(filepath.Join(s.cfg.Dir, ".room"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, roomNeed))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// reopen closes and opens the store. The server stays; its clients connect again, as
// what they asked of the closed store is not answered, and a connection that was just
// asking may stand still. The store may use as much as before: reckoned anew from what
// is free on a disk that was just full, it would often be less than it uses already, and
// the server would take nothing until it is started again.
func (s *Server) reopen() error {
	if err := s.srv.ShutdownJetStream(); err != nil {
		return fmt.Errorf("couldn't close the store: %w", err)
	}
	opts, err := s.options()
	if err != nil {
		return err
	}
	if err := s.srv.EnableJetStream(&server.JetStreamConfig{
		StoreDir: opts.StoreDir, SyncInterval: opts.SyncInterval, SyncAlways: opts.SyncAlways, Strict: true, MaxStore: s.most,
	}); err != nil {
		return fmt.Errorf("couldn't open the store: %w", err)
	}
	clients, err := s.srv.Connz(&server.ConnzOptions{Limit: math.MaxInt32})
	if err != nil {
		return fmt.Errorf("couldn't list the clients of the store: %w", err)
	}
	for _, c := range clients.Conns {
		_ = s.srv.DisconnectClientByID(c.Cid) // it may have left by itself
	}
	return nil
}
