package file

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strconv"
	"strings"
)

const (
	nameLimit = 255 // bytes of one component on every file system we write to
	hostLimit = 80
	hashed    = 1 + 16 // bytes that a shortened component ends with
)

// appendSafe makes a value harmless in a path: no separators, no "..", nothing
// that an operating system gives a meaning to. Different values stay different,
// except that an empty one and "_" are the same.
func appendSafe(dst []byte, value string) []byte {
	if value == "" {
		return append(dst, '_')
	}
	for i := range len(value) {
		c := value[i]
		edge := i == 0 || i == len(value)-1
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.' && !edge:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

const hexDigits = "0123456789ABCDEF"

func safeHost(host string) string { return shorten(string(appendSafe(nil, host)), hostLimit) }

// safePath gives every component of a rendered path a name that exists on every
// system.
func safePath(p string) string {
	plain := true
	for c := range strings.SplitSeq(p, "/") {
		plain = plain && c == safeComponent(c)
	}
	if plain {
		return p
	}
	var b strings.Builder
	for c := range strings.SplitSeq(p, "/") {
		if b.Len() > 0 {
			b.WriteByte('/')
		}
		b.WriteString(safeComponent(c))
	}
	return b.String()
}

// safeComponent escapes Windows' device names and the ends it strips, and
// shortens what is too long.
func safeComponent(c string) string {
	if c == "" {
		return "_"
	}
	if base, _, _ := strings.Cut(c, "."); reserved(base) {
		c = "%" + hex.EncodeToString([]byte(c[:1])) + c[1:]
	}
	if last := c[len(c)-1:]; last == "." || last == " " {
		c = c[:len(c)-1] + "%" + hex.EncodeToString([]byte(last))
	}
	return shorten(c, nameLimit)
}

// reserved are the device names of Windows, which a suffix does not disarm.
func reserved(base string) bool {
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, ok := strings.CutPrefix(base, "COM")
	if !ok {
		port, ok = strings.CutPrefix(base, "LPT")
	}
	return ok && strings.Contains(" 0 1 2 3 4 5 6 7 8 9 ¹ ² ³ ", " "+port+" ")
}

// shorten keeps the beginning and a hash of the whole.
func shorten(c string, limit int) string {
	if len(c) <= limit {
		return c
	}
	sum := sha256.Sum256([]byte(c))
	return c[:limit-hashed] + "~" + hex.EncodeToString(sum[:8])
}

// name is the path of a series taken apart: dir/stem.host.NUMBER.ext
type name struct {
	dir, stem, ext string
}

// splitName finds the place for host and number: before the extension and the
// suffix of the compression, which is added if it is missing. A part with a digit
// in front is no extension, so that a date keeps its points.
func splitName(p, suffix, host string) name {
	base := strings.TrimSuffix(path.Base(p), suffix)
	ext := path.Ext(base)
	if len(ext) < 2 || len(ext) > 10 || ext == base || ext[1] >= '0' && ext[1] <= '9' || strings.Contains(ext, "%") {
		ext = ""
	}
	base = strings.TrimSuffix(base, ext)
	ext += suffix
	base = shorten(base, nameLimit-len(host)-len(ext)-len("..")-numberLimit)
	return name{dir: path.Dir(p), stem: base + "." + host, ext: ext}
}

const numberLimit = 19

// file is the path of the file with that number.
func (n *name) file(number int) string {
	digits := strconv.Itoa(number)
	for len(digits) < 6 {
		digits = "0" + digits
	}
	return path.Join(n.dir, n.stem+"."+digits+n.ext)
}

// number is the opposite of file, for a name in the directory; 0: another's.
func (n *name) number(base string) int {
	rest, ok := strings.CutPrefix(base, n.stem+".")
	if !ok {
		return 0
	}
	digits, ok := strings.CutSuffix(rest, n.ext)
	if !ok || strings.Trim(digits, "0123456789") != "" {
		return 0
	}
	number, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return number
}
