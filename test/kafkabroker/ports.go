package kafkabroker

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// A broker has to know its ports before it starts. They are taken from below the
// ranges that systems give to outgoing connections (Linux from 32768, others from
// 49152), so that nothing slips in while a killed broker is away.
const (
	lowestPort  = 20000
	highestPort = 32000
)

// reservation holds ports until the broker that gets them starts.
type reservation struct {
	ports     []int
	listeners []net.Listener
}

func reserve(n int) (*reservation, error) {
	r := new(reservation)
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue // somebody has it
		}
		r.ports, r.listeners = append(r.ports, port), append(r.listeners, l)
		if len(r.ports) == n {
			return r, nil
		}
	}
	r.free()
	return nil, fmt.Errorf("couldn't find %d free ports between %d and %d", n, lowestPort, highestPort)
}

func (r *reservation) free() {
	for _, l := range r.listeners {
		l.Close()
	}
	r.listeners = nil
}
