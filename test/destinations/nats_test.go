package destinations

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// serveNATS is the process of a nats-server that syncs what it stores.
func serveNATS() int {
	host, port, err := net.SplitHostPort(os.Getenv("FLUSHLINE_DESTINATION_ADDR"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	o := &server.Options{
		ServerName: "destination", Host: host, JetStream: true, StoreDir: os.Getenv("FLUSHLINE_DESTINATION_DIR"),
		SyncAlways: true, MaxPayload: 8 << 20, NoSigs: true,
	}
	if o.Port, err = strconv.Atoi(port); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.ConfigureLogger()
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		fmt.Fprintln(os.Stderr, "not ready for connections after 30s")
		return 1
	}
	go endWithParent()
	fmt.Println(s.Addr())
	s.WaitForShutdown()
	return 0
}
