package names

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// KafkaTopic is the rule of Kafka's topics: letters, digits, dot, underscore and
// hyphen, 249 bytes. Other bytes of a value become underscores, and a hash behind it
// keeps it apart from others that become the same. Kafka counts topics that differ in
// dots and underscores only as one in its metrics; they are two topics.
var KafkaTopic = Rule{
	Safe: func(dst []byte, value string) []byte {
		return replaced(dst, value, false)
	},
	Mend: func(name []byte) []byte {
		if s := string(name); s == "." || s == ".." {
			return append(name, '_')
		}
		return name
	},
	Limit: 249,
	Check: func(name string) error {
		switch {
		case name == "":
			return fmt.Errorf("a topic has a name")
		case name == "." || name == "..":
			return fmt.Errorf("a topic cannot be called %q", name)
		}
		return onlyHas("a topic", name, func(c byte) bool { return isWord(c) || c == '.' })
	},
}

// NATSToken is the rule of subjects whose values are tokens, or parts of one: bytes
// outside A-Z a-z 0-9 _ - become %XX, as in the subjects that flushline reads, so that
// no value adds a token or a wildcard. Different values stay different, except that an
// empty one and "_" are the same.
var NATSToken = Rule{
	Safe: func(dst []byte, value string) []byte {
		if value == "" {
			return append(dst, '_')
		}
		for i := range len(value) {
			if c := value[i]; isWord(c) {
				dst = append(dst, c)
			} else {
				dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
			}
		}
		return dst
	},
	Limit: 1024,
	Check: func(name string) error {
		for token := range strings.SplitSeq(name, ".") {
			switch {
			case token == "":
				return fmt.Errorf("a token of the subject %q is empty", name)
			case token == "*" || token == ">":
				return fmt.Errorf("the subject %q has a wildcard: messages are published to one subject", name)
			}
		}
		return onlyHas("a subject", name, func(c byte) bool { return c > ' ' && c != 0x7f })
	},
}

// Index is the rule of Elasticsearch's and OpenSearch's indices and data streams: no
// capital letters, none of \ / * ? " < > | , # : and no space, not . or .., no hyphen,
// underscore or plus at the beginning, 255 bytes. Capital letters of a value become
// small ones, so that Web and web are one index; other bytes that cannot be become
// underscores, and a hash behind the value keeps it apart from others that become the
// same. A name that would begin with what cannot be there, or with a dot, which are
// the indices of the system, gets an x in front.
var Index = Rule{
	Safe: func(dst []byte, value string) []byte {
		return replaced(dst, value, true)
	},
	Mend: func(name []byte) []byte {
		if len(name) > 0 && strings.IndexByte("-_+.", name[0]) >= 0 {
			name = append(name, 0)
			copy(name[1:], name)
			name[0] = 'x'
		}
		return name
	},
	Limit: 255,
	Check: func(name string) error {
		switch {
		case name == "":
			return fmt.Errorf("an index has a name")
		case strings.IndexByte("-_+", name[0]) >= 0:
			return fmt.Errorf("the name of an index cannot begin with %q: %q", name[:1], name)
		case name == "." || name == "..":
			return fmt.Errorf("an index cannot be called %q", name)
		case strings.ToLower(name) != name:
			return fmt.Errorf("the name of an index has no capital letters: write %q", strings.ToLower(name))
		}
		return onlyHas("an index", name, func(c byte) bool { return c > ' ' && c != 0x7f && strings.IndexByte(`\/*?"<>|,#:`, c) < 0 })
	},
}

const upperHex = "0123456789ABCDEF"

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// replaced appends a value with underscores for all but letters, digits, dots, hyphens
// and underscores, and then a hash. An empty value is an underscore.
func replaced(dst []byte, value string, lower bool) []byte {
	if value == "" {
		return append(dst, '_')
	}
	same := true
	for i := range len(value) {
		c := value[i]
		switch {
		case lower && 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case !isWord(c) && c != '.':
			c, same = '_', false
		}
		dst = append(dst, c)
	}
	if same {
		return dst
	}
	sum := sha256.Sum256([]byte(value))
	return hex.AppendEncode(append(dst, '-'), sum[:4])
}

func onlyHas(what, name string, legal func(byte) bool) error {
	for i := range len(name) {
		if !legal(name[i]) {
			return fmt.Errorf("%q cannot stand in the name of %s: %q", name[i:i+1], what, name)
		}
	}
	return nil
}
