// Package faultproxy stands between clients and a TCP server on loopback and does to
// their bytes what networks do: it delays them, slows them down, holds them back,
// swallows them in one direction, changes them, cuts a connection in the middle of
// them, resets it, closes one half of it, and refuses new ones.
//
// What it did is counted when it met bytes or connections, not when it was asked
// for: a test looks at [Proxy.Met] and fails if the fault it is about never happened.
package faultproxy
