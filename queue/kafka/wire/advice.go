package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/segmentio/kafka-go"
)

// Advice says what to do about err, for the person who runs flushline; "" if there
// is nothing to say beyond err.
func Advice(err error) string {
	var all everyBroker
	if errors.As(err, &all) {
		var said []string
		for _, err := range all {
			if a := Advice(err); a != "" && !slices.Contains(said, a) {
				said = append(said, a)
			}
		}
		return strings.Join(said, "; ")
	}
	var s *stepError
	if code, answered := Code(err); answered {
		return cures[code]
	} else if isTLSFailure(err) {
		return adviseTLS(err)
	} else if errors.As(err, &s) {
		return adviseStep(s)
	}
	return ""
}

// cures are what to do about a broker's answers.
var cures = map[kafka.Error]string{
	kafka.InconsistentGroupProtocol:  "members of this group use another protocol (another program, or another assignment): give this deployment a group of its own",
	kafka.InvalidGroupId:             "choose another name in group",
	kafka.InvalidSessionTimeout:      "set session between the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms (6s and 30m by default)",
	kafka.GroupMaxSizeReached:        "the group is full: run fewer pods, or raise group.max.size at the brokers",
	kafka.FencedInstanceID:           "another process joined with the same instance_id: give each pod one of its own",
	kafka.UnknownMemberId:            "the group gave the membership up, or another member committed while the group was empty; joining again mends it",
	kafka.NonEmptyGroup:              "the group has members: stop them first",
	kafka.TopicAuthorizationFailed:   "allow the user to Describe and Read the topic (Write, Create and Alter for dead letters and setup)",
	kafka.GroupAuthorizationFailed:   "allow the user to Describe and Read the group",
	kafka.ClusterAuthorizationFailed: "allow the user to do this to the cluster (Create, DescribeConfigs, AlterConfigs), or let an administrator run setup",
	kafka.SASLAuthenticationFailed:   "check sasl.user, sasl.password and sasl.mechanism: the brokers keep one password per mechanism",
	kafka.UnsupportedSASLMechanism:   "set sasl.mechanism to one that the brokers offer",
	kafka.IllegalSASLState:           "this listener does not take SASL: remove sasl, or use the port of the listener that does",
	kafka.UnsupportedVersion:         "use brokers of Apache Kafka 2.4 to 4.x, or what speaks its protocol of 2.4",
	kafka.UnknownTopicOrPartition:    "create the topic, or correct its name; without Describe on it brokers say the same",
	kafka.InvalidTopic:               "correct the topic's name",
	kafka.TopicAlreadyExists:         "nothing is to be done if it is configured as wished",
	kafka.InvalidReplicationFactor:   "ask for at most as many replicas as there are brokers",
	kafka.PolicyViolation:            "the cluster has a policy for topics: create it as the policy asks",
	kafka.NotEnoughReplicas:          "fewer replicas are in sync than min.insync.replicas: bring brokers back",
	kafka.LeaderNotAvailable:         "the partition has no leader: bring the brokers with its replicas back",
	kafka.MessageSizeTooLarge:        "raise max.message.bytes of the topic (message.max.bytes of the brokers)",
	kafka.RecordListTooLarge:         "raise segment.bytes of the topic",
	kafka.OffsetMetadataTooLarge:     "raise offset.metadata.max.bytes at the brokers to its default, 4096",
	kafka.InvalidRecord:              "the topic refuses such records; cleanup.policy=compact refuses those without key",
	kafka.KafkaStorageError:          "the broker cannot use its disk: see its log",
	kafka.NotController:              "the controller moved; trying again mends it",
}

// adviseTLS is about certificates that one of the sides refused.
func adviseTLS(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch said := alert(err); {
	case errors.As(err, &unknown):
		return "set tls.ca to the authority that signed the brokers' certificates"
	case errors.As(err, &host):
		return fmt.Sprintf("the certificate is not for %s: use an address it names, or set tls.server_name to a name it carries", host.Host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the broker's certificate is expired or not valid yet: renew it, or set this machine's clock"
	case said != nil && strings.Contains(said.Error(), "protocol version"):
		return "the broker speaks no TLS of 1.2 or newer"
	case said != nil:
		return "the broker refuses our side of TLS: check that tls.cert and tls.key are given, valid and signed by what it trusts"
	case errors.As(err, new(tls.RecordHeaderError)):
		return notTLS
	}
	return "check tls.ca and the broker's certificate"
}

const notTLS = "no TLS is spoken on this port: remove tls, or use the port of the listener that speaks it"

// adviseStep is about connections that came no further than s.
func adviseStep(s *stepError) string {
	switch {
	case errors.Is(s.err, ErrConfig), errors.Is(s.err, context.Canceled):
		return ""
	case errors.Is(s.err, errTLSPort):
		return "fill tls (tls.enabled for certificates that the system trusts), or use the port of a plaintext listener"
	case errors.Is(s.err, errNotKafka):
		return "correct the port in brokers"
	case s.step == connecting:
		return adviseConnect(s)
	case s.step == securing && cut(s.err):
		return notTLS
	case s.step == greeting:
		return "the port is open, but nobody speaks plain Kafka there: if its listener speaks TLS, fill tls; if the broker is starting or stuck, see its log"
	case s.step == opened && cut(s.err) && s.anonymous:
		return "the listener wants SASL: fill sasl"
	case s.step == signingIn && cut(s.err):
		return "the broker ended the SASL handshake: check sasl.mechanism, sasl.user and sasl.password, and its log"
	case timedOut(s.err):
		return "the broker accepts connections but does not answer: see whether it is overloaded, paused or cut off"
	}
	return ""
}

func adviseConnect(s *stepError) string {
	var name *net.DNSError
	switch unknown := errors.As(s.err, &name); {
	case unknown && s.advertised:
		return "the brokers advertise a name that is not known here: correct their advertised.listeners, or use the port of a listener meant for this network"
	case s.advertised:
		return "the brokers advertise an address that cannot be reached from here: correct their advertised.listeners, use the port of a listener meant for this network, or see whether that broker runs"
	case unknown:
		return "correct the host in brokers, or the name service"
	case timedOut(s.err):
		return "nothing answers at that address: check brokers, firewalls and network policies"
	}
	return "nothing listens at that address: check the host and port in brokers, and whether the broker runs"
}
