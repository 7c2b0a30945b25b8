// Package queuetest is the suite that every queue passes, and a [Host] that
// records what a source does with its budget. A queue's own test is some thirty
// lines that make a [Queue] and call [Run].
//
// [RunParked] is the suite of companions of parked records, in the same way, and
// [RunLetterBox] that of what reads dead letters back.
package queuetest
