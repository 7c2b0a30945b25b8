package logfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/minio/minio-go/v7"

	"github.com/flushline/flushline/queue/job"
)

// remoteFile is an object. Its bytes come in one answer for as long as that lasts;
// after trouble the rest is asked for, under the condition that it is the same object.
type remoteFile struct {
	client *bucketClient
	slice  *job.Slice
	mtime  time.Time

	body io.ReadCloser
	at   int64 // of body
	end  context.CancelFunc
}

func openRemote(ctx context.Context, c *bucketClient, s *job.Slice) (*remoteFile, error) {
	bucket, key := place(s.Name)
	info, err := c.core.StatObject(ctx, bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return nil, refusal(s, err)
	}
	r := &remoteFile{client: c, slice: s, mtime: info.LastModified}
	return r, r.same(info)
}

func (r *remoteFile) same(info minio.ObjectInfo) error {
	if etag := strings.Trim(info.ETag, `"`); etag != r.slice.Stamp {
		return &job.ChangedError{Slice: r.slice.Name, Why: fmt.Sprintf("its etag was %s and is %s", r.slice.Stamp, etag)}
	}
	return nil
}

func (r *remoteFile) readAt(ctx context.Context, p []byte, at int64) (int, error) {
	if at >= r.slice.Size {
		return 0, io.EOF
	}
	n := 0
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(2*time.Second))
	err := backoff.Retry(func() error {
		var err error
		n, err = r.once(ctx, p, at)
		var changed *job.ChangedError
		if err != nil && (errors.As(err, &changed) || job.IsUnreadable(err) || ctx.Err() != nil) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(backoff.WithMaxRetries(retry, attempts-1), ctx))
	return n, err
}

// once reads some bytes of the answer at hand, or of a new one.
func (r *remoteFile) once(ctx context.Context, p []byte, at int64) (int, error) {
	if r.body == nil || r.at != at {
		if err := r.ask(ctx, at); err != nil {
			return 0, err
		}
	}
	stop := context.AfterFunc(ctx, r.end)
	defer stop()
	quiet := time.AfterFunc(r.client.silence, r.end)
	n, err := r.body.Read(p[:min(int64(len(p)), r.slice.Size-at)])
	r.at += int64(n)
	if !quiet.Stop() && err != nil && ctx.Err() == nil {
		err = fmt.Errorf("the server sent nothing for %v", r.client.silence) // what ended the answer says less
	}
	if err != nil {
		r.leave()
	}
	if n > 0 {
		return n, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return 0, job.Away(fmt.Errorf("couldn't read %s at byte %d: %w", r.slice.Name, at, err))
}

// ask begins an answer. It outlives the call that asks: the next one reads on.
func (r *remoteFile) ask(ctx context.Context, at int64) error {
	r.leave()
	var o minio.GetObjectOptions
	if err := errors.Join(o.SetRange(at, r.slice.Size-1), o.SetMatchETag(r.slice.Stamp)); err != nil {
		return fmt.Errorf("couldn't ask for %s from byte %d: %w", r.slice.Name, at, err)
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	bucket, key := place(r.slice.Name)
	body, info, _, err := r.client.core.GetObject(own, bucket, key, o)
	if err != nil {
		cancel()
		return refusal(r.slice, err)
	}
	r.body, r.at, r.end = body, at, cancel
	err = r.same(info) // servers exist that know no If-Match
	if want := r.slice.Size - at; err == nil && info.Size != want {
		err = job.Unreadable(fmt.Errorf("couldn't read %s from byte %d: the server answers with %d bytes instead of %d", r.slice.Name, at, info.Size, want))
	}
	if err != nil {
		r.leave()
	}
	return err
}

// leave ends the answer at hand.
func (r *remoteFile) leave() {
	if r.body == nil {
		return
	}
	r.end()
	_ = r.body.Close() // we leave it
	r.body = nil
}

// unchanged: all bytes came from the object with the planned etag.
func (r *remoteFile) unchanged() error { return nil }

func (r *remoteFile) modified() time.Time { return r.mtime }
func (r *remoteFile) identity() string    { return r.slice.Stamp }

func (r *remoteFile) close() error {
	r.leave()
	return nil
}
