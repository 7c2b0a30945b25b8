package javaserver

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// A server that keeps its port over restarts, or tells it to others, has to know it
// before it starts. Ports are taken from below the
// ranges that systems give to outgoing connections (Linux from 32768, others from
// 49152), so that nothing slips in while a killed server is away.
const (
	lowestPort  = 20000
	highestPort = 32000
)

// Reservation holds ports of loopback until the server that gets them starts.
type Reservation struct {
	Ports     []int
	listeners []net.Listener
}

// Reserve finds n free ports of loopback and holds them until Free.
func Reserve(n int) (*Reservation, error) {
	r := new(Reservation)
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue // somebody has it
		}
		r.Ports, r.listeners = append(r.Ports, port), append(r.listeners, l)
		if len(r.Ports) == n {
			return r, nil
		}
	}
	r.Free()
	return nil, fmt.Errorf("couldn't find %d free ports between %d and %d", n, lowestPort, highestPort)
}

// Free gives the ports to whoever comes first. It may be called twice.
func (r *Reservation) Free() {
	for _, l := range r.listeners {
		l.Close()
	}
	r.listeners = nil
}
