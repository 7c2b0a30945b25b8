package protocol

import (
	"fmt"
	"slices"
	"strings"
)

// Format is what a value is, once decompressed.
type Format int

const (
	// FormatLogGroup is one LogGroup.
	FormatLogGroup Format = iota
	// FormatLogGroupList is a LogGroupList.
	FormatLogGroupList
	// FormatPackage is an SlsLogPackage: a LogGroup that is compressed by itself.
	FormatPackage
	// FormatPackageList is an SlsLogPackageList.
	FormatPackageList
	// FormatJSON is one object, an array of objects, or lines of either. Each object
	// is a LogGroup or a log in any of the shapes that collectors write; its members
	// say which.
	FormatJSON
	// FormatJSONSingle is FormatJSON with logs of iLogtail's custom_single only.
	FormatJSONSingle
	// FormatJSONFlat is FormatJSON with flat logs only, whatever their members are
	// called: iLogtail's custom_single_flatten, LoongCollector's native Kafka flusher.
	FormatJSONFlat
	// FormatText is one log, whose field "content" is the value.
	FormatText
	// FormatAuto is what the first bytes look like: LogGroup, list, package, package
	// list or JSON. No value is taken for another one than it is; one that could be
	// two is undecodable.
	FormatAuto
)

var formatNames = [...]string{
	"loggroup", "loggrouplist", "slspackage", "slspackagelist",
	"json", "custom_single", "custom_single_flatten", "text", "auto",
}

// String is the format's name in configurations.
func (f Format) String() string {
	if f < 0 || int(f) >= len(formatNames) {
		return fmt.Sprintf("Format(%d)", int(f))
	}
	return formatNames[f]
}

// ParseFormat reads what String writes.
func ParseFormat(name string) (Format, error) {
	if i := slices.Index(formatNames[:], name); i >= 0 {
		return Format(i), nil
	}
	return 0, fmt.Errorf("format %q is not known: use %s", name, strings.Join(formatNames[:], ", "))
}

// ContentType is the format's content-type header; empty for FormatAuto.
func (f Format) ContentType() string {
	switch f {
	case FormatLogGroup, FormatLogGroupList, FormatPackage, FormatPackageList:
		return typeProtobuf + ";type=" + f.String()
	case FormatJSON:
		return typeJSON
	case FormatJSONSingle, FormatJSONFlat:
		return typeJSON + ";type=" + f.String()
	case FormatText:
		return typeText
	}
	return ""
}

// ParseContentType reads a content-type header: protobuf, JSON (also as lines:
// application/x-ndjson) or text/plain. The parameter type says which message or
// which JSON it is; without it protobuf is a LogGroup, and so is an empty header.
// Case, spaces, quotes and the order of parameters do not matter; other parameters
// are ignored.
func ParseContentType(s string) (Format, error) {
	switch s {
	case "", TypeLogGroup:
		return FormatLogGroup, nil
	case TypeLogGroupList:
		return FormatLogGroupList, nil
	case typeJSON:
		return FormatJSON, nil
	}
	media, params, _ := strings.Cut(s, ";")
	media, kind := strings.ToLower(strings.TrimSpace(media)), strings.ToLower(typeParam(params))
	first, last := FormatLogGroup, FormatPackageList
	switch media {
	case "":
		if strings.TrimSpace(params) == "" {
			return FormatLogGroup, nil
		}
		return 0, unknownContentType(s)
	case typeProtobuf, "application/protobuf":
	case typeJSON, "application/x-ndjson":
		first, last = FormatJSON, FormatJSONFlat
	case typeText:
		return FormatText, nil
	default:
		return 0, unknownContentType(s)
	}
	for f := first; f <= last; f++ {
		if kind == f.String() || kind == "" {
			return f, nil
		}
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
	var known []string
	for f := FormatLogGroup; f < FormatAuto; f++ {
		known = append(known, f.ContentType())
	}
	return fmt.Errorf("content-type %q is not known: use %s", s, strings.Join(known, ", "))
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
