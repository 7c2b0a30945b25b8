package protocol

// detect finds the format of a value by its bytes, for FormatAuto. It takes what
// collectors and flushline itself write for what it is, and never one of them for
// another:
//
//   - `{` or `[` first is JSON. As protobuf these bytes begin a group of a field that
//     no message has.
//   - Otherwise the first byte has to be a tag of the four protobuf messages. A field
//     2 or 3 that is a number makes a package; a field 2 to 6 with a length makes a
//     LogGroup. Writers put all of these behind field 1, which is in all four: a log,
//     a group, a package, or a package's data. Its own first fields tell: a log
//     begins with its Time, a number; a package has a number in field 2 or 3, its
//     size or compression; a group has neither.
//
// Should bytes of others be taken for what they are not, they cannot be read: the
// fields 1 and 2 of a log, a group and a package differ in their wire types. Text is
// never guessed, because all bytes are text.
func detect(b []byte) (Format, error) {
	if len(b) == 0 {
		return FormatLogGroup, nil
	}
	switch b[0] {
	case '{', '[':
		return FormatJSON, nil
	case tagLogs:
	case tagRawSize, tagCompressType:
		return FormatPackage, nil
	case tagCategory, tagTopic, tagSource, tagMachineUUID, tagLogTags:
		return FormatLogGroup, nil
	default:
		return 0, undecodable("its first byte 0x%02x begins neither LogGroup protobuf nor JSON: "+
			"say with a content-type header or the source's decode.format what it is", b[0])
	}
	first, behind, broken := firstElement(b)
	switch {
	case broken: // reading it says why
		return FormatLogGroup, nil
	case first != nil && first[0] == tagTime:
		return FormatLogGroup, nil
	case behind == tagRawSize || behind == tagCompressType:
		return FormatPackage, nil
	case behind != 0:
		return FormatLogGroup, nil
	case first == nil:
		return 0, undecodable("an element without bytes may be a log, a LogGroup or a package: " +
			"say with a content-type header or the source's decode.format what it is")
	case hasField(first, tagRawSize, tagCompressType):
		return FormatPackageList, nil
	case first[0] == tagContents && !hasField(first, tagSource, tagMachineUUID):
		return FormatLogGroup, nil // a log without the Time that proto2 requires
	}
	return FormatLogGroupList, nil
}

// firstElement is the first field 1 that has bytes, nil if none has, and the tag of
// the first other field, 0 if there is none. It looks no further than it has to for
// a log.
func firstElement(b []byte) (first []byte, behind uint64, broken bool) {
	for i := 0; i < len(b); {
		tag, next := uvarint(b, i)
		if next < 0 || tag != tagLogs {
			return first, tag, next < 0
		}
		start, end := span(b, next)
		if end < 0 {
			return first, 0, true
		}
		if first == nil && end > start {
			first = b[start:end]
			if first[0] == tagTime {
				return first, 0, false
			}
		}
		i = end
	}
	return first, 0, false
}

// hasField says whether one of the tags stands among the fields of a message.
func hasField(b []byte, tags ...uint64) bool {
	for i := 0; i < len(b); {
		tag, next := uvarint(b, i)
		if wrongTag(tag, next) != "" {
			return false
		}
		for _, want := range tags {
			if tag == want {
				return true
			}
		}
		var wrong string
		if i, wrong = skip(b, next, tag, 0); wrong != "" {
			return false
		}
	}
	return false
}
