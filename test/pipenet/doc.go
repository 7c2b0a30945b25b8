// Package pipenet is a network inside one process, for tests in synctest bubbles: a
// goroutine that waits for it is durably blocked, so simulated time goes on, which
// it does not while one waits for a socket.
//
// A [Net] has listeners and [Host]s that dial them. All faults are a host's: its
// connections can be cut at once or after so many bytes, held back one way or both
// ways, delayed, half closed, and refused. Held bytes are not lost: they arrive when
// the host is released, as those that TCP repeats, or that a frozen process had in
// its buffers, do. Bytes of a connection that is cut or closed meanwhile are.
//
// Connections report *net.TCPAddr, have deadlines, and buffer 64 KiB each way as
// sockets do. A Net belongs to the bubble it was made in.
package pipenet
