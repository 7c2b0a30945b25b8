package http

import (
	"fmt"
	"os"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

var _ flushers.Located = (*Flusher)(nil)

// Locate is the URL without its query, which may carry a credential, and the key as
// the headers have it.
func (f *Flusher) Locate(project, logstore, config string) string {
	t, problems := f.compile()
	if len(problems) > 0 {
		return "a URL that cannot be read"
	}
	v := &protocol.TemplateVars{Key: protocol.Key{Project: project, Logstore: logstore, Config: config}}
	v.Host, _ = os.Hostname()
	path := t.path.Known(v, appendPath, func(placeholder string) string { return placeholder })
	return fmt.Sprintf("%s %s%s with %s: %s, %s: %s, %s: %s", f.Method, f.origin(), path,
		protocol.HeaderProject, headerValue(project), protocol.HeaderLogstore, headerValue(logstore), protocol.HeaderConfig, headerValue(config))
}
