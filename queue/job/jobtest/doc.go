// Package jobtest is the suite that every place to keep a job in passes. A place's
// own test makes a [Place] and calls [Run].
package jobtest
