package option

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size. It reads "16MiB", "64 kB" or a bare number of bytes.
type Bytes int64

var byteUnits = []struct {
	name string
	size float64
}{
	{"b", 1},
	{"kb", 1e3},
	{"mb", 1e6},
	{"gb", 1e9},
	{"tb", 1e12},
	{"kib", 1 << 10},
	{"mib", 1 << 20},
	{"gib", 1 << 30},
	{"tib", 1 << 40},
	{"", 1},
}

// UnmarshalText reads a size; errors name the accepted forms.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	cut := strings.LastIndexAny(s, "0123456789.") + 1
	num, unit := s[:cut], strings.ToLower(strings.TrimSpace(s[cut:]))
	v, err := strconv.ParseFloat(num, 64)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a size: write 16MiB, 64KiB or a number of bytes", s)
	}
	for _, u := range byteUnits {
		if u.name == unit {
			if v *= u.size; v > math.MaxInt64/2 {
				return fmt.Errorf("%q is too large", s)
			}
			*b = Bytes(v)
			return nil
		}
	}
	return fmt.Errorf("%q has an unknown unit %q: use B, KiB, MiB, GiB, kB, MB or GB", s, s[cut:])
}

// String is the shortest exact form: "16MiB", "1000".
func (b Bytes) String() string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		size := Bytes(1) << (40 - 10*i)
		if b >= size && b%size == 0 {
			return strconv.FormatInt(int64(b/size), 10) + unit
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText writes what UnmarshalText reads.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// Secret is a value that cannot be printed: every formatting and marshalling of
// it gives "***" (or nothing when it is empty). It is held behind a pointer
// because fmt prints unexported fields without asking their methods.
type Secret struct{ value *string }

// NewSecret wraps a value.
func NewSecret(v string) Secret {
	if v == "" {
		return Secret{}
	}
	return Secret{&v}
}

// Reveal is the only way to the value.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero says that no value was given.
func (s Secret) IsZero() bool { return s.value == nil }

func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return "***"
}

// GoString keeps %#v from printing the value.
func (s Secret) GoString() string { return s.String() }

// MarshalText keeps encoders from printing the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the value as it stands.
func (s *Secret) UnmarshalText(text []byte) error { *s = NewSecret(string(text)); return nil }
