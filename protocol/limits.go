package protocol

import "math"

// Limits bound what one value may cost. Zero fields take the defaults.
type Limits struct {
	Decompressed int64 // bytes after decompression; 64 MiB, at most 2 GiB

	// Ratio is how many times larger than received a value may become; 500. It
	// counts above 1 MiB only, so that small and very regular values pass.
	Ratio int

	Groups   int // LogGroups; 65,536
	Logs     int // logs of all groups; 1,048,576
	Contents int // contents, tags and values of all groups; 4,194,304
}

const ratioFloor = 1 << 20 // bytes any value may become, whatever the ratio

var (
	defaultLimits = Limits{Decompressed: 64 << 20, Ratio: 500, Groups: 1 << 16, Logs: 1 << 20, Contents: 1 << 22}

	// unlimited is for data that the caller holds anyway.
	unlimited = Limits{
		Decompressed: math.MaxInt64, Ratio: math.MaxInt32,
		Groups: math.MaxInt32, Logs: math.MaxInt32, Contents: math.MaxInt32,
	}
)

func (l *Limits) orDefaults() Limits {
	if l == nil {
		return defaultLimits
	}
	d := *l
	orDefault(&d.Decompressed, defaultLimits.Decompressed)
	orDefault(&d.Ratio, defaultLimits.Ratio)
	orDefault(&d.Groups, defaultLimits.Groups)
	orDefault(&d.Logs, defaultLimits.Logs)
	orDefault(&d.Contents, defaultLimits.Contents)
	d.Decompressed = min(d.Decompressed, math.MaxInt32) // counts of a Group are 32 bits wide
	return d
}

func orDefault[T int | int64](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// decompressed is how large a value of that many received bytes may become, and
// which limit says so.
func (l *Limits) decompressed(received int) (bound int64, name string) {
	ratio := max(int64(received)*int64(l.Ratio), ratioFloor)
	if ratio < l.Decompressed {
		return ratio, "ratio"
	}
	return l.Decompressed, "decompressed"
}
