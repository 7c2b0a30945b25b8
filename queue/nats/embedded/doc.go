// Package embedded runs a JetStream server inside the process: a queue on the
// local disk that other programs publish to over the network like to any NATS
// server, with its stream and consumer already there.
//
// # What it promises
//
// With sync "always", the default, a publish that was confirmed is on the disk:
// neither a kill nor a loss of power takes it away. With "interval" a confirmed
// publish is in the operating system's cache and on the disk at most
// [SyncInterval] later: a kill of the process loses nothing, a crash of the
// machine up to that much. Acknowledgements of the last 100 ms before a kill may
// be forgotten either way; their messages are delivered again.
//
// # Who may connect
//
// On a loopback address everybody on the machine. Any other address needs a
// token. There is no TLS: for more than one machine run a real nats-server.
package embedded
