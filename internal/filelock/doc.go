// Package filelock locks files among processes. The operating system drops a lock
// when its process ends, however it ends.
package filelock
