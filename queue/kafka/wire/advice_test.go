package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
)

func TestAdviceNamesWhatToChange(t *testing.T) {
	t.Parallel()
	unknown := &net.DNSError{Err: "no such host", Name: "kafka-1", IsNotFound: true}
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", errors.New("refused"))}
	for _, test := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{io.EOF, ""},
		{&stepError{step: connecting, err: refused}, "nothing listens"},
		{&stepError{step: connecting, err: unknown}, "host in brokers"},
		{&stepError{step: connecting, err: context.DeadlineExceeded}, "firewalls"},
		{&stepError{step: connecting, advertised: true, err: unknown}, "advertise a name"},
		{&stepError{step: connecting, advertised: true, err: refused}, "advertise an address"},
		{&stepError{step: securing, err: io.EOF}, "remove tls"},
		{&stepError{step: securing, err: &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}}, "expired"},
		{&stepError{step: securing, err: &net.OpError{Op: "remote error", Err: errors.New("tls: protocol version not supported")}}, "1.2"},
		{&stepError{step: securing, err: context.DeadlineExceeded}, "overloaded"},
		{&stepError{step: greeting, err: io.EOF}, "fill tls"},
		{&stepError{step: greeting, err: errNotKafka}, "port in brokers"},
		{&stepError{step: signingIn, err: io.EOF}, "sasl.password"},
		{&stepError{step: opened, anonymous: true, err: io.EOF}, "fill sasl"},
		{&stepError{step: working, err: context.DeadlineExceeded}, "overloaded"},
		{fmt.Errorf("%w: tls.ca", ErrConfig), ""},
		{kafka.InconsistentGroupProtocol, "a group of its own"},
		{kafka.InvalidSessionTimeout, "group.min.session.timeout.ms"},
		{kafka.GroupMaxSizeReached, "group.max.size"},
		{kafka.FencedInstanceID, "instance_id"},
		{kafka.TopicAuthorizationFailed, "Read the topic"},
		{kafka.GroupAuthorizationFailed, "Read the group"},
		{kafka.ClusterAuthorizationFailed, "administrator"},
		{kafka.UnsupportedVersion, "2.4"},
		{everyBroker{kafka.NotController, io.EOF, kafka.NotController}, "the controller moved; trying again mends it"},
	} {
		if test.err != nil {
			test.err = &Error{Op: "do", Broker: "b:9092", Err: test.err}
		}
		if got := Advice(test.err); !strings.Contains(got, test.want) || (test.want == "") != (got == "") {
			t.Errorf("%v: the advice is %q, without %q", test.err, got, test.want)
		}
	}
}

func TestWhatFollowsFromAnError(t *testing.T) {
	t.Parallel()
	type follows struct{ transport, coordinator, leader, permanent bool }
	for _, test := range []struct {
		err  error
		want follows
	}{
		{nil, follows{}},
		{io.EOF, follows{transport: true, coordinator: true}},
		{ErrClosed, follows{}},
		{kafka.NotCoordinatorForGroup, follows{coordinator: true}},
		{kafka.GroupLoadInProgress, follows{coordinator: true}},
		{kafka.GroupCoordinatorNotAvailable, follows{coordinator: true}},
		{kafka.RebalanceInProgress, follows{}},
		{kafka.NotLeaderForPartition, follows{leader: true}},
		{kafka.FencedLeaderEpoch, follows{leader: true}},
		{kafka.InconsistentGroupProtocol, follows{permanent: true}},
		{worded(int16(kafka.FencedInstanceID), "gone"), follows{permanent: true}},
		{everyBroker{kafka.SASLAuthenticationFailed, io.EOF}, follows{}},
		{everyBroker{kafka.SASLAuthenticationFailed, errTLSPort}, follows{permanent: true}},
		{everyBroker{io.EOF, io.EOF}, follows{transport: true, coordinator: true}},
	} {
		err := test.err
		if err != nil {
			err = &Error{Op: "do", Broker: "b:9092", Err: err}
		}
		got := follows{IsTransport(err), IsCoordinatorMoved(err), IsLeaderMoved(err), IsPermanent(err)}
		if got != test.want {
			t.Errorf("%v: %+v, want %+v", err, got, test.want)
		}
	}
}
