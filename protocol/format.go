package protocol

import (
	"fmt"
	"strings"
)

// Format is what a value is, once decompressed.
type Format int

const (
	// FormatLogGroup is one LogGroup.
	FormatLogGroup Format = iota
	// FormatLogGroupList is a LogGroupList.
	FormatLogGroupList
)

func (f Format) String() string {
	switch f {
	case FormatLogGroup:
		return "loggroup"
	case FormatLogGroupList:
		return "loggrouplist"
	}
	return fmt.Sprintf("Format(%d)", int(f))
}

// ContentType is the format's content-type header.
func (f Format) ContentType() string {
	if f == FormatLogGroupList {
		return TypeLogGroupList
	}
	return TypeLogGroup
}

// ParseContentType reads a content-type header. Empty, and protobuf without a
// type parameter, mean LogGroup. Case, spaces, quotes and the order of
// parameters do not matter; parameters other than type are ignored.
func ParseContentType(s string) (Format, error) {
	switch s {
	case "", TypeLogGroup:
		return FormatLogGroup, nil
	case TypeLogGroupList:
		return FormatLogGroupList, nil
	}
	media, params, _ := strings.Cut(s, ";")
	switch media = strings.TrimSpace(media); {
	case media == "" && strings.TrimSpace(params) == "":
		return FormatLogGroup, nil
	case !strings.EqualFold(media, "application/x-protobuf") && !strings.EqualFold(media, "application/protobuf"):
		return 0, unknownContentType(s)
	}
	switch kind := typeParam(params); {
	case kind == "", strings.EqualFold(kind, "loggroup"):
		return FormatLogGroup, nil
	case strings.EqualFold(kind, "loggrouplist"):
		return FormatLogGroupList, nil
	}
	return 0, unknownContentType(s)
}

func typeParam(params string) string {
	for params != "" {
		var param string
		param, params, _ = strings.Cut(params, ";")
		name, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(strings.TrimSpace(name), "type") {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}

func unknownContentType(s string) error {
	return fmt.Errorf("content-type %q is not known: use %s or %s", s, TypeLogGroup, TypeLogGroupList)
}

// Encoding is how a value is compressed.
type Encoding int

// The encodings. Snappy is the block format when written; when read it may also
// be the framed one. LZ4 is the frame format.
const (
	EncodingNone Encoding = iota
	EncodingGzip
	EncodingZstd
	EncodingLZ4
	EncodingSnappy
)

var encodingNames = [...]string{"none", "gzip", "zstd", "lz4", "snappy"}

// String is the content-encoding header.
func (e Encoding) String() string {
	if e < 0 || int(e) >= len(encodingNames) {
		return fmt.Sprintf("Encoding(%d)", int(e))
	}
	return encodingNames[e]
}

// ParseEncoding reads a content-encoding header. Empty and "identity" mean none;
// case and surrounding spaces do not matter.
func ParseEncoding(s string) (Encoding, error) {
	name := strings.TrimSpace(s)
	if name == "" || strings.EqualFold(name, "identity") {
		return EncodingNone, nil
	}
	for e, known := range encodingNames {
		if strings.EqualFold(name, known) {
			return Encoding(e), nil
		}
	}
	return 0, fmt.Errorf("content-encoding %q is not known: use %s", s, strings.Join(encodingNames[:], ", "))
}
