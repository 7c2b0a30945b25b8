package worker

import (
	"fmt"

	"github.com/flushline/flushline/protocol"
)

// KeyRule says where parts of a key come from. Rules stand in a list; each fills
// the parts that those before it left empty, and a group whose key has an empty
// part after the last one is a dead letter.
type KeyRule struct {
	From KeyFrom
	// Pattern is for KeySubject, KeyMessageKey and KeyPath, such as
	// "logs.{project}.{logstore}.{config}". Its tokens are cut at dots (subject) or
	// slashes (the others) and percent-decoded; a text with another number of them,
	// or with another literal, says nothing. For KeyPath a part may be followed by
	// ".*", and is then what stands before the first dot, and the last token may be
	// "**", which stands for any number of them from one on.
	Pattern string
	// Parts are the names of log tags for KeyTag, and the values for KeyConstant;
	// empty parts are not used.
	Parts protocol.Key
}

// KeyFrom is a place where a key is looked for.
type KeyFrom int

// The places. Headers, subject, message key and path name one key for all groups of a
// message; tags and Category may differ from group to group.
const (
	KeyHeaders    KeyFrom = iota // x-log-project, x-log-logstore, x-log-config
	KeySubject                   // the NATS subject or the Kafka topic
	KeyMessageKey                // the Kafka record's key
	KeyPath                      // the name of a file below the root it was found under
	KeyTag                       // log tags of the group
	KeyCategory                  // the group's Category, which is the logstore
	KeyConstant                  // fixed values
)

// ofMessage says that a place is the same for all groups of a message.
func (f KeyFrom) ofMessage() bool { return f <= KeyPath }

func (f KeyFrom) separator() string {
	if f == KeyMessageKey || f == KeyPath {
		return "/"
	}
	return "."
}

var keyFromNames = [...]string{"headers", "subject", "message_key", "path", "tag", "category", "constant"}

// String is the name of the place in configurations; a Kafka topic is a subject.
func (f KeyFrom) String() string {
	if f < 0 || int(f) >= len(keyFromNames) {
		return fmt.Sprintf("KeyFrom(%d)", int(f))
	}
	return keyFromNames[f]
}

func (r *KeyRule) String() string {
	if r.Pattern == "" {
		return r.From.String()
	}
	return r.From.String() + " " + r.Pattern
}
