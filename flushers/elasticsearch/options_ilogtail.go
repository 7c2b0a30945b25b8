package elasticsearch

import (
	"maps"

	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/flushers/trust"
	"github.com/flushline/flushline/option"
)

// Authentication is the block of that name of iLogtail's flusher_elasticsearch.
type Authentication struct {
	PlainText *PlainText   `option:"plain_text" help:"user and password."`
	TLS       *ILogtailTLS `option:"transport" alias:"TLS" help:"tls."`
}

// PlainText is basic authentication. Both empty, which iLogtail refuses, is none.
type PlainText struct {
	Username string        `option:"username" help:"user."`
	Password option.Secret `option:"password" help:"password."`
}

// ILogtailTLS is how iLogtail trusts servers.
type ILogtailTLS struct {
	Enabled            bool   `option:"enabled" help:"Nothing: the scheme of an address says it."`
	CAFile             string `option:"ca" alias:"CAFile" help:"tls.ca."`
	CertFile           string `option:"cert" alias:"CertFile" help:"tls.cert."`
	KeyFile            string `option:"key" alias:"KeyFile" help:"tls.key."`
	InsecureSkipVerify bool   `option:"insecure_skip_verify" help:"tls.insecure_skip_verify."`
}

// ForeignKeys are those of the block that change nothing.
func (t *ILogtailTLS) ForeignKeys() []option.ForeignKey {
	return []option.ForeignKey{
		{Name: "MinVersion", Same: []string{"", "1.2"}, Why: "the lowest version is 1.2"},
		{Name: "MaxVersion", Same: []string{"", "1.3"}, Why: "the highest version is 1.3"},
	}
}

// ForeignKeys are those of iLogtail's flusher_elasticsearch that are no options here.
func (f *Flusher) ForeignKeys() []option.ForeignKey {
	return []option.ForeignKey{
		{Name: "HTTPConfig", Why: "timeout and bulks are about requests", Keys: []option.ForeignKey{
			{Name: "MaxIdleConnsPerHost", Why: "as many connections are kept open as bulks says"},
			{Name: "ResponseHeaderTimeout", Why: "timeout says how long a request may take"},
		}},
	}
}

func (a *Authentication) plain() *PlainText {
	if a == nil {
		return nil
	}
	return a.PlainText
}

func (a *Authentication) tls() *ILogtailTLS {
	if a == nil {
		return nil
	}
	return a.TLS
}

func (a *Authentication) problems(f *Flusher) []option.Problem {
	var problems []option.Problem
	if p := a.plain(); p != nil && (p.Username != "" || !p.Password.IsZero()) && (f.User != "" || !f.Password.IsZero()) {
		problems = append(problems, option.Errorf("authentication.plain_text", "user and password say it, too: remove one"))
	}
	t := a.tls()
	if t == nil {
		return problems
	}
	if f.TLS != (trust.TLS{}) {
		problems = append(problems, option.Errorf("authentication.transport", "tls says it, too: remove one"))
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		problems = append(problems, option.Errorf("authentication.transport.cert", "CertFile and KeyFile need each other"))
	}
	return problems
}

// json is how documents are written. A block Convert that names a protocol or fields
// stands above the defaults of this kind, which its writer did not know.
func (f *Flusher) json() formats.JSON {
	j := f.JSON
	if c := j.Convert; c != nil {
		if c.Protocol == formats.Single {
			j.Shape = formats.Single
		}
		if len(c.ProtocolFieldsRename) > 0 && maps.Equal(j.FieldNames, timestamp()) {
			j.FieldNames = nil
		}
		if len(c.TagFieldsRename) > 0 && maps.Equal(j.TagNames, withoutDots()) {
			j.TagNames = nil
		}
	}
	return j
}
