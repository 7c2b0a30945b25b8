package letterbox

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flushline/flushline/queue"
)

// settled is how long it takes until what was deleted stays so, whatever happens to a
// broker: it writes down where its logs begin once a minute.
const settled = 10 * time.Minute

// note says up to where letters of a partition were deleted, and when that was seen.
type note struct {
	Below int64     `json:"below"`
	At    time.Time `json:"at"`
}

const noteKey = "freed/"

func parseNoteKey(key string) (partition int32, ok bool) {
	number, ok := strings.CutPrefix(key, noteKey)
	n, err := strconv.ParseInt(number, 10, 32)
	return int32(n), ok && err == nil
}

// parseNote reads a note. What is none says that nothing was deleted.
func parseNote(value []byte) (n note) {
	if json.Unmarshal(value, &n) != nil {
		return note{}
	}
	return n
}

func (n note) record(partition int32) queue.Message {
	value, _ := json.Marshal(n) // a number and a time are always encoded
	return queue.Message{Key: fmt.Appendf(nil, "%s%d", noteKey, partition), Value: value}
}

// old says that what the note is about stays deleted. Without a note nothing is.
func (n note) old(now time.Time) bool { return now.Sub(n.At) >= settled }
