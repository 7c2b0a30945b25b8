package logfile

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/flushline/flushline/queue/job"
)

// bucketClient speaks to the S3 server of a configuration.
type bucketClient struct {
	core    *minio.Core
	silence time.Duration // how long the server may send nothing within an answer
}

// silence is how long the server may send nothing.
const silence = 60 * time.Second

// attempts is how often a request is made before its error is told.
const attempts = 4

func newBucketClient(cfg *S3) (*bucketClient, error) {
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("couldn't use source.file.s3.endpoint: %w", err)
	}
	secure := u.Scheme == "https"
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, fmt.Errorf("couldn't prepare connections to %s: %w", cfg.Endpoint, err)
	}
	transport.ResponseHeaderTimeout = silence
	transport.DisableCompression = true // bytes as they are stored
	if secure {
		if transport.TLSClientConfig, err = cfg.TLS.config(); err != nil {
			return nil, err
		}
	}
	lookup := minio.BucketLookupAuto
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds: cfg.credentials(transport), Secure: secure, Transport: transport,
		Region: cfg.Region, BucketLookup: lookup, MaxRetries: attempts,
	})
	if err != nil {
		return nil, fmt.Errorf("couldn't use source.file.s3: %w", err)
	}
	return &bucketClient{core, silence}, nil
}

func (s *S3) credentials(transport http.RoundTripper) *credentials.Credentials {
	if s.AccessKey != "" {
		return credentials.NewStaticV4(s.AccessKey, s.SecretKey.Reveal(), s.SessionToken.Reveal())
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{},
		&credentials.FileAWSCredentials{},
		&credentials.IAM{Client: &http.Client{Transport: transport, Timeout: 10 * time.Second}},
	})
}

func (t *TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("couldn't read source.file.s3.tls.ca: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("couldn't read source.file.s3.tls.ca: %s holds no certificate", t.CA)
	}
	return c, nil
}

// place takes a URL such as s3://bucket/some/key apart.
func place(name string) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(name, s3Scheme), "/")
	return bucket, key
}

func (f *finder) addRemote(p string) error {
	bucket, key := place(p)
	if bucket == "" {
		return fmt.Errorf("couldn't find %s: it names no bucket: write s3://bucket/prefix", p)
	}
	l := listing{finder: f, asked: p, bucket: bucket, prefix: key}
	if i := strings.IndexAny(key, "*?["); i >= 0 {
		l.prefix = key[:i]
		pat, err := parsePattern(key)
		if err != nil {
			return err
		}
		l.pattern = pat
	}
	if f.bucket == nil {
		var err error
		if f.bucket, err = newBucketClient(&f.cfg.S3); err != nil {
			return err
		}
	}
	f.lists = append(f.lists, l.files)
	return nil
}

// listing is the objects of a bucket whose keys begin with a prefix, and fit the
// pattern if there is one.
type listing struct {
	*finder
	asked, bucket, prefix string
	pattern               pattern
}

func (l listing) files(yield func(job.Slice, error) bool) {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	root := s3Scheme + l.bucket + "/"
	cut := len(root) + strings.LastIndexByte(l.prefix, '/') + 1
	n := 0
	for o := range l.finder.bucket.core.ListObjectsIter(ctx, l.bucket, minio.ListObjectsOptions{Prefix: l.prefix, Recursive: true}) {
		if o.Err != nil {
			yield(job.Slice{}, fmt.Errorf("couldn't list %s: %w", l.asked, o.Err))
			return
		}
		if strings.HasSuffix(o.Key, "/") || l.pattern != nil && !l.pattern.match(o.Key) {
			continue // the marker of a directory, or another file
		}
		n++
		if !yield(l.slice(root+o.Key, cut, o.Size, strings.Trim(o.ETag, `"`)), nil) {
			return
		}
	}
	if err := ctx.Err(); err != nil {
		yield(job.Slice{}, fmt.Errorf("couldn't list %s: %w", l.asked, err))
		return
	}
	if n == 0 {
		yield(job.Slice{}, fmt.Errorf("couldn't find an object under %s", l.asked))
	}
}

// refusal sorts errors of S3 by what can be done about them: the object is another
// one, this object cannot be read by us ever, or it is trouble that may pass, as is
// the absence of the server.
func refusal(s *job.Slice, err error) error {
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) || answer.StatusCode >= http.StatusInternalServerError {
		return job.Away(fmt.Errorf("couldn't read %s: %w", s.Name, err))
	}
	switch answer.Code {
	case minio.NoSuchKey, minio.NoSuchBucket, "NoSuchVersion":
		return &job.ChangedError{Slice: s.Name, Why: "it is gone"}
	case minio.PreconditionFailed, minio.InvalidRange:
		return &job.ChangedError{Slice: s.Name, Why: "it is another object now: its etag is no longer " + s.Stamp}
	case minio.AccessDenied, "InvalidObjectState", "MethodNotAllowed", "KeyTooLongError":
		return job.Unreadable(fmt.Errorf("couldn't read %s: %w", s.Name, err))
	}
	if answer.StatusCode == http.StatusPreconditionFailed || answer.StatusCode == http.StatusNotFound {
		return &job.ChangedError{Slice: s.Name, Why: "the server says " + answer.Error()}
	}
	return fmt.Errorf("couldn't read %s: %w", s.Name, err)
}
