package protocol_test

import (
	"runtime"
	"testing"
	"weak"

	"github.com/flushline/flushline/protocol"
)

// What pools and slabs keep between messages is charged to nobody, so they must
// not keep messages.

func TestPoolsKeepNoMessage(t *testing.T) {
	data := sample(1000).AppendMarshal(nil)
	values := foreign(t, data)
	for _, e := range encodings[1:] {
		values[e.String()] = nil
	}
	for form, value := range values {
		e := encodingOf(t, form)
		for _, damaged := range []bool{false, true} {
			kept := "all"
			// A library's own pool is per CPU: a goroutine that moves may miss it once.
			for try := 0; kept != "" && try < 5; try++ {
				kept = whatIsKept(useAndForget(t, data, value, e, damaged))
			}
			if kept != "" {
				t.Errorf("%s, damaged %v: still reachable: %s", form, damaged, kept)
			}
		}
	}
}

func whatIsKept(in, out, made *weak.Pointer[byte]) (kept string) {
	runtime.GC() // pools outlive one collection
	for name, p := range map[string]*weak.Pointer[byte]{"the value ": in, "the body ": out, "what was compressed ": made} {
		if p != nil && p.Value() != nil {
			kept += name
		}
	}
	return kept
}

// useAndForget compresses (if value is nil) and scans, and returns weak pointers
// to the value, the body and the source of compression.
func useAndForget(t *testing.T, data, value []byte, e protocol.Encoding, damaged bool) (in, out, made *weak.Pointer[byte]) {
	if value == nil {
		src := append([]byte(nil), data...)
		value = compress(t, src, e)
		made = ptr(weak.Make(&src[0]))
	}
	value = append([]byte(nil), value...)
	if damaged {
		value = value[:len(value)-len(value)/3]
	}
	in = ptr(weak.Make(&value[0]))
	body, _, err := protocol.Scan(value, protocol.FormatLogGroup, e, nil, nil)
	if damaged && err == nil {
		t.Errorf("%v: a damaged value was accepted", e)
	}
	if err == nil {
		out = ptr(weak.Make(&body[0]))
	}
	return in, out, made
}

func TestSlabsKeepNoMessage(t *testing.T) {
	var s protocol.Slabs
	for _, logs := range []int{1, 100, 5000} {
		body := func() weak.Pointer[byte] {
			data := sample(logs).AppendMarshal(nil)
			s.Decode(scanOne(t, data))
			s.Reset()
			return weak.Make(&data[0])
		}()
		runtime.GC()
		if body.Value() != nil {
			t.Errorf("%d logs: the body is still reachable", logs)
		}
	}
	runtime.KeepAlive(&s)
}
