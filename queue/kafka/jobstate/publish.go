package jobstate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/leaders"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// The keys of the last two partitions. Each attempt to store a manifest has one of its
// own: of two records with one key compaction would keep the later, and the manifest
// would lose its place.
//
//	manifest/ID/TRY   a header, a newline, and the manifest
//	piece/ID/NUMBER   a piece of the plan that this ID stored
const (
	manifestKey = "manifest"
	pieceKey    = "piece"
)

// header says where the pieces of a manifest lie.
type header struct {
	ID     string  `json:"id"`
	Pieces []int64 `json:"pieces"` // offsets
}

// begun is the manifest that counts.
type begun struct {
	header
	topic    leaders.ID
	manifest []byte
}

// Manifest implements job.State.
func (s *state) Manifest(ctx context.Context) ([]byte, error) {
	b, err := s.readManifest(ctx)
	if err != nil || b == nil {
		return nil, err
	}
	return b.manifest, nil
}

// readManifest finds the manifest; nil: there is none.
func (s *state) readManifest(ctx context.Context) (*begun, error) {
	t, there, err := s.there(ctx)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the manifest of job %s: %w", s.name, err)
	}
	if !there {
		s.mu.Lock()
		s.begun = nil
		s.mu.Unlock()
		return nil, nil
	}
	return s.firstManifest(ctx, t.ID)
}

// firstManifest reads a topic that exists.
func (s *state) firstManifest(ctx context.Context, topic leaders.ID) (*begun, error) {
	var first *queue.Message
	err := s.manifests().readAll(ctx, func(m *queue.Message) {
		if first == nil && m.Value != nil && strings.HasPrefix(string(m.Key), manifestKey+"/") {
			first = m
		}
	})
	if err != nil {
		return nil, fmt.Errorf("couldn't read the manifest of job %s: %w", s.name, err)
	}
	var b *begun
	if first != nil {
		head, manifest, _ := bytes.Cut(first.Value, []byte("\n"))
		b = &begun{topic: topic, manifest: manifest}
		if err := json.Unmarshal(head, &b.header); err != nil {
			return nil, fmt.Errorf("couldn't read the manifest of job %s at offset %d of %s: %w", s.name, first.Position, s.manifests(), err)
		}
	}
	s.mu.Lock()
	s.begun = b
	s.mu.Unlock()
	return b, nil
}

// Piece implements job.State.
func (s *state) Piece(ctx context.Context, i int) ([]byte, error) {
	s.mu.Lock()
	b := s.begun
	s.mu.Unlock()
	if b == nil {
		var err error
		if b, err = s.readManifest(ctx); err != nil {
			return nil, err
		}
	}
	if b == nil || i < 0 || i >= len(b.Pieces) {
		return nil, fmt.Errorf("the plan of job %s has no piece %d", s.name, i)
	}
	var value []byte
	key := fmt.Sprintf("%s/%s/%d", pieceKey, b.ID, i)
	err := s.pieces().read(ctx, b.Pieces[i], b.Pieces[i]+1, func(m *queue.Message) {
		if string(m.Key) == key {
			value = m.Value
		}
	})
	if err != nil {
		return nil, fmt.Errorf("couldn't read piece %d of the plan of job %s: %w", i, s.name, err)
	}
	if value == nil {
		return nil, fmt.Errorf("piece %d of the plan of job %s is not at offset %d of %s: was the job removed meanwhile?", i, s.name, b.Pieces[i], s.pieces())
	}
	return value, nil
}

// Publish implements job.State.
func (s *state) Publish(ctx context.Context, pieces iter.Seq2[[]byte, error], manifest func(int) ([]byte, error)) error {
	if err := kafka.EnsureJobTopic(ctx, s.client, s.cfg, s.source, s.topic, s.of+beside); err != nil {
		return fmt.Errorf("couldn't begin job %s: %w", s.name, err)
	}
	if err := s.verify(ctx); err != nil { // another process may have made it
		return fmt.Errorf("couldn't begin job %s: %w", s.name, err)
	}
	topic, err := s.appears(ctx)
	if err != nil {
		return fmt.Errorf("couldn't begin job %s: %w", s.name, err)
	}
	switch b, err := s.firstManifest(ctx, topic); {
	case err != nil:
		return err
	case b != nil:
		return job.ErrBegun
	}
	a := attempt{state: s, topic: topic, header: header{ID: newID()}}
	if err := a.make(ctx, pieces, manifest); err != nil {
		a.withdraw(ctx)
		return err
	}
	return nil
}

// appears waits until the topic is seen everywhere: not all brokers know at once what
// was made.
func (s *state) appears(ctx context.Context) (leaders.ID, error) {
	var id leaders.ID
	err := retried(ctx, func(ctx context.Context) error {
		t, err := s.book.Topic(ctx, s.topic, 0)
		id = t.ID
		return err
	})
	return id, err
}

// attempt is what one Publish stores.
type attempt struct {
	*state
	header
	topic leaders.ID
	tried bool // to store the manifest
}

// make stores the pieces and the manifest, and finds out whether that is the first.
func (a *attempt) make(ctx context.Context, pieces iter.Seq2[[]byte, error], manifest func(int) ([]byte, error)) error {
	for value, err := range pieces {
		if err != nil {
			return err
		}
		i := len(a.Pieces)
		at, err := store(ctx, a.pieces(), func(int) string { return fmt.Sprintf("%s/%s/%d", pieceKey, a.ID, i) }, value)
		if err != nil {
			return fmt.Errorf("couldn't store piece %d of the plan of job %s: %w", i, a.name, err)
		}
		a.Pieces = append(a.Pieces, at)
	}
	value, err := manifest(len(a.Pieces))
	if err != nil {
		return err
	}
	said, err := json.Marshal(a.header)
	if err != nil {
		return fmt.Errorf("couldn't write the manifest of job %s: %w", a.name, err)
	}
	a.tried = true
	_, stored := store(ctx, a.manifests(), func(try int) string { return manifestKey + "/" + a.ID + "/" + strconv.Itoa(try) }, append(append(said, '\n'), value...))
	b, err := a.firstManifest(ctx, a.topic)
	switch {
	case err != nil: // whether the job has begun is not known
		return errors.Join(stored, err)
	case b != nil && b.ID == a.ID:
		return nil
	case b != nil:
		return job.ErrBegun
	case stored != nil:
		return fmt.Errorf("couldn't store the manifest of job %s: %w", a.name, stored)
	}
	return fmt.Errorf("the manifest of job %s was stored and is not there: was the job removed meanwhile?", a.name)
}

// store appends a value until that is confirmed, and returns the offset of the last
// attempt. key says the key of each.
func store(ctx context.Context, g *log, key func(try int) string, value []byte) (at int64, err error) {
	tries := 0
	err = retried(ctx, func(ctx context.Context) (err error) {
		tries++
		at, err = g.append(ctx, wire.Record{Key: []byte(key(tries)), Value: value})
		return err
	})
	return at, err
}

// withdrawWithin is how long it may take to take away what nobody needs.
const withdrawWithin = 5 * time.Second

// withdraw takes the pieces away, if they begin nothing. What it cannot take away is
// never read, and goes with the job.
func (a *attempt) withdraw(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawWithin)
	defer cancel()
	b, err := a.firstManifest(ctx, a.topic)
	if err != nil || b != nil && b.ID == a.ID || b == nil && a.tried { // it may begin it after all
		return
	}
	const most = 1000
	var gone []wire.Record
	for i := range a.Pieces {
		gone = append(gone, wire.Record{Key: fmt.Appendf(nil, "%s/%s/%d", pieceKey, a.ID, i)})
		if len(gone) == most || i == len(a.Pieces)-1 {
			if _, err := a.pieces().append(ctx, gone...); err != nil {
				return
			}
			gone = gone[:0]
		}
	}
}
