package nats

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// shape is what all messages of an instance have in common. Its header is used again
// for each, as publishing copies it. An instance has one Flush at a time.
type shape struct {
	msg    nats.Msg
	id     [1]string // values of the headers that differ
	origin [1]string
	groups [1]string
	each   []eachHeader // those that depend on the log

	marked string // the subject whose mark is this one
	mark   string
}

type eachHeader struct {
	value    *protocol.Template
	rendered [1]string
}

func (f *Flusher) prepareHeaders() error {
	s := &f.shape
	h := nats.Header{
		protocol.HeaderProject:         {f.key.Project},
		protocol.HeaderLogstore:        {f.key.Logstore},
		protocol.HeaderConfig:          {f.key.Config},
		protocol.HeaderContentType:     {f.contentType()},
		protocol.HeaderContentEncoding: {f.encoding.String()},
	}
	if f.Stream != "" {
		h.Set(nats.ExpectedStreamHdr, f.Stream)
	}
	v := protocol.TemplateVars{Key: f.key, Host: f.host}
	s.each = make([]eachHeader, 0, len(f.Headers))
	for name, value := range f.Headers {
		if usesLogs(&value) {
			s.each = append(s.each, eachHeader{value: &value})
			h[name] = s.each[len(s.each)-1].rendered[:]
			continue
		}
		text, err := value.AppendSafe(nil, &v, safeHeader)
		if err != nil {
			return flushers.Misconfigured(fmt.Errorf("couldn't make the header %s: %w", name, err))
		}
		h[name] = []string{string(text)}
	}
	s.msg.Header = h
	return nil
}

// contentType also says which JSON it is, where a reader could take it for another.
func (f *Flusher) contentType() string {
	t := f.writer.ContentType()
	if f.writer.Raw() || f.Format == formats.Raw || f.Shape != formats.Flatten {
		return t
	}
	return t + ";type=" + formats.Flatten
}

// safeHeader percent-encodes what ends a header.
func safeHeader(dst []byte, value string) []byte {
	for i := range len(value) {
		if c := value[i]; c >= ' ' && c != 0x7f {
			dst = append(dst, c)
		} else {
			dst = fmt.Appendf(dst, "%%%02X", c)
		}
	}
	return dst
}

// dress gives the message the headers of one group, or of one of its logs; log is -1
// for a whole group. whole says that all logs of the group are in it.
func (f *Flusher) dress(b *flushers.Batch, group, log int, whole bool, v *protocol.TemplateVars) error {
	s := &f.shape
	h := s.msg.Header
	delete(h, msgID)
	delete(h, queue.HeaderOrigin)
	delete(h, queue.HeaderGroups)
	for i := range s.each {
		one := &s.each[i]
		text, err := one.value.AppendDefault(nil, v, safeHeader, f.Missing)
		if err != nil {
			return flushers.Permanent(fmt.Errorf("couldn't make a header: %w; missing_field can say what stands for it", err))
		}
		one.rendered[0] = string(text)
	}
	if group >= len(b.IDs) {
		return nil
	}
	id := &b.IDs[group]
	if f.Dedupe {
		var space [128]byte
		text := id.AppendTo(space[:0])
		if log >= 0 {
			text = id.AppendLog(space[:0], log)
		}
		text = append(append(text, '.'), s.markOf(f.entry, s.msg.Subject)...)
		s.id[0] = string(text)
		h[msgID] = s.id[:]
	}
	if f.KeepIDs && whole && log < 0 {
		var space [32]byte
		s.origin[0] = string(hex.AppendEncode(space[:0], id.Origin[:]))
		s.groups[0] = strconv.FormatUint(uint64(id.Group), 10)
		h[queue.HeaderOrigin], h[queue.HeaderGroups] = s.origin[:], s.groups[:]
	}
	return nil
}

// markOf keeps apart what two entries, or one under two subjects, store of a group in
// one stream.
func (s *shape) markOf(entry, subject string) string {
	if s.mark == "" || s.marked != subject {
		sum := sha256.Sum256([]byte(entry + "\x00" + subject))
		s.marked, s.mark = subject, hex.EncodeToString(sum[:8])
	}
	return s.mark
}
