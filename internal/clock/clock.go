// Package clock counts time that is never set: nanoseconds as plain numbers, for
// atomics and for records of which there are many. A time.Time has such a reading
// beside that of the wall clock and loses it when it is made a number of seconds since
// 1970; then a clock that is set an hour back makes a deadline an hour longer, and one
// that is set forward lets it pass.
package clock

import "time"

var begin = time.Now().Add(-1) // so that no time is 0

// Now is nanoseconds since this process began. It grows steadily, whatever is done to
// the wall clock.
func Now() int64 { return int64(time.Since(begin)) }

// Of is that of a time which was read from time.Now in this process.
func Of(t time.Time) int64 { return int64(t.Sub(begin)) }

// Time is the time at n, to compare with others of this process. What it says of the
// hour holds if the wall clock was not set since.
func Time(n int64) time.Time { return begin.Add(time.Duration(n)) }
