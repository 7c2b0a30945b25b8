package protocol

// Headers of a message with LogGroups, compared without regard to case.
const (
	HeaderProject         = "x-log-project"
	HeaderLogstore        = "x-log-logstore"
	HeaderConfig          = "x-log-config"
	HeaderContentType     = "content-type"
	HeaderContentEncoding = "content-encoding"
)

// Content types of values: see Format.ContentType.
const (
	typeProtobuf = "application/x-protobuf"
	typeJSON     = "application/json"
	typeText     = "text/plain"

	TypeLogGroup     = "application/x-protobuf;type=loggroup"
	TypeLogGroupList = "application/x-protobuf;type=loggrouplist"
)
