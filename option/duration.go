package option

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// ParseDuration reads "30s", "1h30m" and, beyond the standard library, days:
// "7d", "1d12h". A number without a unit is an error that says what it may have
// meant; 0 needs none.
func ParseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseFloat(s, 64); err == nil && n != 0 {
		return 0, fmt.Errorf("%s has no unit; %s", s, convert(n, s))
	}
	rest, days := s, time.Duration(0)
	if num, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(num, 10, 16)
		if err != nil {
			return 0, badDuration(s)
		}
		rest, days = after, time.Duration(n)*day
	}
	if rest == "" && days > 0 {
		return days, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || (days > 0 && d < 0) {
		return 0, badDuration(s)
	}
	return days + d, nil
}

func badDuration(s string) error {
	return fmt.Errorf("%q is not a duration: write 500ms, 30s, 10m, 1h30m or 7d", s)
}

// convert says what a bare number was: in iLogtail's files numbers are
// nanoseconds, whatever their authors meant.
func convert(n float64, text string) string {
	switch {
	case n >= 1e6 && n < 1<<62:
		return text + " was nanoseconds: write " + FormatDuration(time.Duration(n))
	case n >= 1000 && n < 1e6:
		return "write " + text + "ms or " + text + "s"
	case n > 0 && n < 1000:
		return "write " + text + "s"
	}
	return "write a duration such as 30s"
}

// FormatDuration is the shortest form that ParseDuration reads back: "10m" where
// the standard library has "10m0s".
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
