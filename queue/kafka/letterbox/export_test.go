package letterbox

import (
	"time"

	"github.com/flushline/flushline/queue"
)

// Settled is how long marks of deleted letters stay.
const Settled = settled

// Patience changes how long a box tries what may pass.
func Patience(b queue.LetterBox, d time.Duration) { b.(*box).patience = d }

// Clock has a box believe another time.
func Clock(b queue.LetterBox, now func() time.Time) { b.(*box).now = now }
