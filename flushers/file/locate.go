package file

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

var _ flushers.Located = (*Flusher)(nil)

// Locate is the path of the first file, with the placeholders that each log fills.
func (f *Flusher) Locate(project, logstore, config string) string {
	root, below, err := f.located()
	if err != nil {
		return err.Error()
	}
	encoding, err := f.encoding()
	if err != nil {
		return err.Error()
	}
	host := f.Host
	if host == "" {
		host, _ = os.Hostname()
	}
	host = cmp.Or(host, "HOST")
	v := protocol.TemplateVars{Key: protocol.Key{Project: project, Logstore: logstore, Config: config}, Host: host}

	// Where host and number come is decided by what the path will be: a date stands for
	// a digit there, and any other value for a letter.
	var later []string
	p := below.Known(&v, appendSafe, func(placeholder string) string {
		stand := string(rune(firstStand + len(later)))
		if strings.HasPrefix(placeholder, "{date:") {
			stand = "0" + stand
		}
		later = append(later, stand, placeholder)
		return stand
	})
	n := splitName(safePath(p), suffixOf(encoding), safeHost(host))
	where := strings.NewReplacer(later...).Replace(path.Join(root, n.file(1)))
	if encoding != protocol.EncodingNone {
		return fmt.Sprintf("%s, %s in %s", where, f.Format, encoding)
	}
	return where + ", " + f.Format
}

// firstStand begins the characters that nobody uses.
const firstStand = 0xE000
