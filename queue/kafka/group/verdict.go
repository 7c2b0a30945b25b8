package group

import (
	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// verdict is what an answer of the coordinator means for a member.
type verdict uint8

const (
	fine          verdict = iota
	away                  // not reached, loading, or another broker: look it up again, nothing is lost
	inRound               // a round has begun: join it
	needsID               // join again with the id that came along
	oldGeneration         // the group went on without us
	unknown               // the coordinator does not know our id
	usurped               // another process took over our instance name
	refused               // no retry mends it
)

func judge(err error) verdict {
	if err == nil {
		return fine
	}
	code, _ := wire.Code(err)
	switch code {
	case kafka.RebalanceInProgress:
		return inRound
	case kafka.MemberIDRequired:
		return needsID
	case kafka.IllegalGeneration:
		return oldGeneration
	case kafka.UnknownMemberId:
		return unknown
	case kafka.FencedInstanceID:
		return usurped
	}
	if wire.IsPermanent(err) {
		return refused
	}
	return away
}

// unstorable says that an offset is refused for what it is or where it should go:
// the same commit will be refused again.
func unstorable(err error) bool {
	code, _ := wire.Code(err)
	switch code {
	case kafka.OffsetMetadataTooLarge, kafka.InvalidCommitOffsetSize, kafka.UnknownTopicOrPartition,
		kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.InvalidTopic:
		return true
	}
	return false
}
