package http

import (
	"fmt"
	"net/url"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

var _ flushers.Located = (*Flusher)(nil)

// Locate is the URL without its query, which may carry a credential, and the key as
// the headers have it.
func (f *Flusher) Locate(project, logstore, config string) string {
	u, err := url.Parse(f.URL)
	if err != nil {
		return "a URL that cannot be read"
	}
	return fmt.Sprintf("POST %s://%s%s with %s: %s, %s: %s, %s: %s", u.Scheme, u.Host, u.EscapedPath(),
		protocol.HeaderProject, headerValue(project), protocol.HeaderLogstore, headerValue(logstore), protocol.HeaderConfig, headerValue(config))
}
