package embedded

import (
	"fmt"
	"strings"

	"go.uber.org/zap"
)

// serverLog gives the server's words to our logger. Notices are its life story:
// they are ours to tell, so they go to debug. A fatal error must not end the
// process: whoever started the server gets it.
type serverLog struct {
	log    *zap.Logger
	fatal  chan string
	failed chan string // writes to the store; nobody is told in another way
}

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }

func (l *serverLog) Debugf(string, ...any) {}
func (l *serverLog) Tracef(string, ...any) {}

func (l *serverLog) Errorf(format string, v ...any) {
	said := fmt.Sprintf(format, v...)
	l.log.Error(said)
	if !strings.Contains(said, "ritical write error") && !strings.Contains(said, "will be DISABLED") {
		return
	}
	select {
	case l.failed <- said:
	default: // it is known already
	}
}

func (l *serverLog) Fatalf(format string, v ...any) {
	why := fmt.Sprintf(format, v...)
	select {
	case l.fatal <- why:
	default:
		l.log.Error(why)
	}
}
