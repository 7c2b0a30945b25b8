package logfile

import (
	"fmt"
	"net/url"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// Config says how files are read. It is the block `source.file` of the configuration
// file. Which files is said where a job is started.
type Config struct {
	Format  string       `option:"format" enum:"auto,json,custom_single,custom_single_flatten,text,frames,loggroup,loggrouplist,slspackage,slspackagelist" help:"What the files hold. auto: their first bytes tell, else the end of the name (.jsonl, .json, .ndjson; .log, .txt). json: one object or array a line. frames: what the file flusher writes as loggroup. gzip and zstd are told by the bytes in any case."`
	MaxLine option.Bytes `option:"max_line" min:"256KiB" max:"64MiB" help:"Longest line; a longer one is a dead letter with its first 64KiB."`
	S3      S3           `option:"s3" help:"Where paths that begin with s3:// lie."`
}

// S3 is how buckets are reached. Without access_key the environment
// (AWS_ACCESS_KEY_ID and so on), the shared credentials file and the machine's role
// are asked, in this order.
type S3 struct {
	Endpoint     string        `option:"endpoint" help:"Server: https://host, or http://host:9000 without TLS." example:"https://s3.eu-central-1.amazonaws.com"`
	Region       string        `option:"region" help:"Region of the buckets; default: the server is asked." example:"eu-central-1"`
	AccessKey    string        `option:"access_key" help:"Access key; default: AWS_ACCESS_KEY_ID, the shared credentials file, or the machine's role." example:"${env:S3_ACCESS_KEY}"`
	SecretKey    option.Secret `option:"secret_key,secret" help:"Secret key." example:"${env:S3_SECRET_KEY}"`
	SessionToken option.Secret `option:"session_token,secret" help:"Token of temporary credentials."`
	PathStyle    bool          `option:"path_style" help:"Put the bucket into the path instead of the host name."`
	TLS          TLS           `option:"tls" help:"How the server is verified."`
}

// TLS says how a server is verified.
type TLS struct {
	CA                 string `option:"ca" help:"PEM file with the certificate authorities to trust; default: the system's."`
	InsecureSkipVerify bool   `option:"insecure_skip_verify" help:"Accept any certificate: whoever answers can read and forge everything."`
}

const defaultMaxLine = 1 << 20

// LeastMessage is how large messages have to be allowed to be: what a block of lines
// becomes.
const LeastMessage = option.Bytes(1 << 20)

// DefaultConfig is a Config with the documented defaults.
func DefaultConfig() Config {
	return Config{Format: formatAuto, MaxLine: defaultMaxLine, S3: S3{Endpoint: "https://s3.amazonaws.com"}}
}

// Validate finds what contradicts itself.
func (s *S3) Validate() []option.Problem {
	var problems []option.Problem
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" || u.User != nil || u.RawQuery != "" {
		problems = append(problems, option.Errorf("endpoint", "endpoint is no address of a server: write https://host or http://host:9000"))
	}
	if (s.AccessKey == "") != s.SecretKey.IsZero() {
		problems = append(problems, option.Errorf("secret_key", "access_key and secret_key go together"))
	}
	if !s.SessionToken.IsZero() && s.AccessKey == "" {
		problems = append(problems, option.Errorf("session_token", "session_token is set without access_key and secret_key"))
	}
	return problems
}

// The formats that are none of protocol's.
const (
	formatAuto   = "auto"
	formatFrames = "frames"
)

// layout is how a stream is taken apart.
type layout struct {
	kind   layoutKind
	format protocol.Format // of lines, or of the whole
}

type layoutKind int

const (
	unknown layoutKind = iota
	lines
	frames
	whole
)

// chosen is what the option format says; unknown: the content tells.
func chosen(name string) (layout, error) {
	switch name {
	case "", formatAuto:
		return layout{}, nil
	case formatFrames:
		return layout{kind: frames}, nil
	}
	f, err := protocol.ParseFormat(name)
	switch {
	case err != nil:
		return layout{}, fmt.Errorf("couldn't read files: %w", err)
	case f == protocol.FormatText, f == protocol.FormatJSON, f == protocol.FormatJSONSingle, f == protocol.FormatJSONFlat:
		return layout{kind: lines, format: f}, nil
	}
	return layout{kind: whole, format: f}, nil
}
