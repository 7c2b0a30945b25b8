package logfile

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue/job"
)

// s3Server is a bucket "logs" whose answers can be cut off.
type s3Server struct {
	cfg    Config
	core   *minio.Core
	server *httptest.Server

	cutAt  atomic.Int64 // bytes of an object's answer; 0: not cut
	cuts   atomic.Int64 // how many still are
	hang   atomic.Bool  // instead of being cut off, an answer does not go on
	status atomic.Int64 // of answers to GET of objects; 0: as it is
}

func startS3(t *testing.T) *s3Server {
	t.Helper()
	s := &s3Server{cfg: DefaultConfig()}
	fake := gofakes3.New(s3mem.New()).Server()
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if _, key, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, "/"), "/"); q.Method != http.MethodGet || key == "" {
			fake.ServeHTTP(w, q)
			return
		}
		if code := s.status.Load(); code != 0 {
			w.WriteHeader(int(code))
			return
		}
		if match := q.Header.Get("If-Match"); match == "" {
			t.Error("an object is read without If-Match")
		}
		if n := s.cutAt.Load(); n > 0 && s.cuts.Add(-1) >= 0 {
			cut := &cutWriter{ResponseWriter: w, left: n}
			if s.hang.Load() {
				cut.hang = q.Context()
			}
			w = cut
		}
		fake.ServeHTTP(w, q)
	}))
	t.Cleanup(s.server.Close)
	s.cfg.S3 = S3{
		Endpoint: s.server.URL, Region: "us-east-1", AccessKey: "me",
		SecretKey: option.NewSecret("secret"), PathStyle: true,
	}
	c, err := newBucketClient(&s.cfg.S3)
	if err != nil {
		t.Fatal(err)
	}
	s.core = c.core
	if err := s.core.MakeBucket(context.Background(), "logs", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// cutWriter ends the connection after some bytes.
type cutWriter struct {
	http.ResponseWriter
	left int64
	hang context.Context // nil: it is ended at once
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		c.ResponseWriter.(http.Flusher).Flush()
		if c.hang != nil {
			<-c.hang.Done()
		}
		panic(http.ErrAbortHandler)
	}
	c.left -= int64(len(p))
	return c.ResponseWriter.Write(p)
}

func (s *s3Server) put(t *testing.T, key string, content []byte) {
	t.Helper()
	_, err := s.core.Client.PutObject(context.Background(), "logs", key, bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *s3Server) slices(t *testing.T, paths ...string) []job.Slice {
	t.Helper()
	plan, err := Find(context.Background(), &s.cfg, paths, 2)
	if err != nil {
		t.Fatal(err)
	}
	var out []job.Slice
	for sl, err := range plan.Slices {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sl)
	}
	return out
}

func TestObjectsAreFound(t *testing.T) {
	t.Parallel()
	s := startS3(t)
	for _, key := range []string{"2025/a/x.jsonl", "2025/a/y.log", "2025/b.jsonl", "2025-old/z.jsonl", "2026/c.jsonl", "2025/dir/"} {
		s.put(t, key, []byte(key))
	}
	for _, c := range []struct {
		paths []string
		want  []string
	}{
		{[]string{"s3://logs"}, []string{"2025-old/z.jsonl", "2025/a/x.jsonl", "2025/a/y.log", "2025/b.jsonl", "2026/c.jsonl"}},
		{[]string{"s3://logs/2025/"}, []string{"a/x.jsonl", "a/y.log", "b.jsonl"}},
		{[]string{"s3://logs/2025"}, []string{"2025-old/z.jsonl", "2025/a/x.jsonl", "2025/a/y.log", "2025/b.jsonl"}},
		{[]string{"s3://logs/2025/b.jsonl"}, []string{"b.jsonl"}},
		{[]string{"s3://logs/2025/**/*.jsonl"}, []string{"a/x.jsonl", "b.jsonl"}},
		{[]string{"s3://logs/2025/a/", "s3://logs/2025/", "s3://logs/2026/"}, []string{"x.jsonl", "y.log", "b.jsonl", "c.jsonl"}},
	} {
		var got []string
		for _, sl := range s.slices(t, c.paths...) {
			got = append(got, below(&sl))
			if sl.Size == 0 || sl.Stamp == "" || !strings.HasPrefix(sl.Name, "s3://logs/") {
				t.Errorf("slice %+v", sl)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v: %s", c.paths, diff)
		}
	}
	for _, path := range []string{"s3://logs/none", "s3://nowhere/x"} {
		plan, err := Find(context.Background(), &s.cfg, []string{path}, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range plan.Slices {
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

func TestObjectsComeBackAcrossCutAnswers(t *testing.T) {
	t.Parallel()
	text := jsonLines(9000)
	for _, how := range compressions {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := startS3(t)
			file := compressed(t, how, text)
			s.put(t, "a", file)
			sl := s.slices(t, "s3://logs/a")[0]
			in := inputOf(t, &s.cfg)
			s.cutAt.Store(int64(len(file) / 7))
			s.cuts.Store(5)
			a, err := readAll(in, &sl, 0, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(a.logs(t)); n != 9000 || len(a.damage) > 0 || s.cuts.Load() >= 0 {
				t.Errorf("%d logs, damage %v, %d cuts left", n, a.damage, s.cuts.Load())
			}
			if a.messages[0].Time.IsZero() || time.Since(a.messages[0].Time) > time.Hour {
				t.Errorf("time %v", a.messages[0].Time)
			}
			s.cutAt.Store(0)
			resumes(t, in, &sl, &a)
		})
	}
}

func TestAnAnswerThatDoesNotGoOnIsLeft(t *testing.T) {
	t.Parallel()
	s := startS3(t)
	s.put(t, "a", jsonLines(9000))
	sl := s.slices(t, "s3://logs/a")[0]
	in := inputOf(t, &s.cfg)
	c, err := in.client()
	if err != nil {
		t.Fatal(err)
	}
	c.silence = 50 * time.Millisecond
	s.hang.Store(true)
	s.cutAt.Store(300 << 10)
	s.cuts.Store(1)
	a, err := readAll(in, &sl, 0, 1<<20)
	if err != nil || s.cuts.Load() >= 1 {
		t.Fatalf("%v, %d cuts left", err, s.cuts.Load())
	}
	if n := len(a.logs(t)); n != 9000 {
		t.Errorf("%d logs", n)
	}
}

func TestAnObjectThatIsNotTheOneThatWasPlanned(t *testing.T) {
	t.Parallel()
	s := startS3(t)
	in := inputOf(t, &s.cfg)
	s.put(t, "a", jsonLines(100))
	s.put(t, "b", jsonLines(100))
	planned := s.slices(t, "s3://logs/")
	s.put(t, "a", jsonLines(101))
	if err := s.core.RemoveObject(context.Background(), "logs", "b", minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range planned {
		_, err := readAll(in, &planned[i], 0, 1)
		var changed *job.ChangedError
		if !errors.As(err, &changed) {
			t.Errorf("%s: %v", planned[i].Name, err)
		}
	}
}

func TestWhatTheServerRefuses(t *testing.T) {
	t.Parallel()
	s := startS3(t)
	s.put(t, "a", jsonLines(100))
	planned := s.slices(t, "s3://logs/a")
	in := inputOf(t, &s.cfg)
	s.status.Store(http.StatusForbidden)
	if _, err := readAll(in, &planned[0], 0, 1); !job.IsUnreadable(err) {
		t.Errorf("forbidden: %v", err)
	}
	s.status.Store(http.StatusPreconditionFailed)
	var changed *job.ChangedError
	if _, err := readAll(in, &planned[0], 0, 1); !errors.As(err, &changed) {
		t.Errorf("another etag: %v", err)
	}
	s.server.Close()
	if _, err := readAll(in, &planned[0], 0, 1); !job.IsAway(err) || job.IsUnreadable(err) {
		t.Errorf("no server: %v", err)
	}
}

func TestS3Settings(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]S3{
		"tls.ca: open":         {Endpoint: "https://s3", TLS: TLS{CA: "no-such-file"}},
		"holds no certificate": {Endpoint: "https://s3", TLS: TLS{CA: written(t, "ca.pem", []byte("x"))}},
	} {
		if _, err := newBucketClient(&s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
