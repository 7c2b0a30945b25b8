package cmd

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flushline/flushline/option"
)

// configFlag adds -c, --config with FLUSHLINE_CONFIG as its default.
func configFlag(p *program, c *cobra.Command, path *string) {
	*path, _ = p.env("FLUSHLINE_CONFIG")
	c.Flags().StringVarP(path, "config", "c", *path, "configuration `FILE` (or FLUSHLINE_CONFIG)")
	_ = c.MarkFlagFilename("config", "yaml", "yml", "json") // fails only for a flag that is not there
}

// flagError adds the nearest flag to an unknown one.
func flagError(c *cobra.Command, err error) error {
	hint := ""
	if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		if near := nearestFlag(c.Flags(), name); near != "" {
			hint = fmt.Sprintf(" (did you mean --%s?)", near)
		}
	}
	return usage(fmt.Errorf("%w%s\nsee `%s --help`", err, hint, c.CommandPath()))
}

func nearestFlag(flags *pflag.FlagSet, name string) string {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return option.Suggest(name, names)
}

// rate is --rate: "20MiB" is bytes a second, "500/s" groups a second.
type rate struct {
	groups float64 // a second; 0: not limited
	bytes  float64
	text   string
}

func (r *rate) Type() string   { return "RATE" }
func (r *rate) String() string { return r.text }

func (r *rate) Set(s string) error {
	*r = rate{text: s}
	if n, ok := strings.CutSuffix(s, "/s"); ok {
		if v, err := strconv.ParseFloat(n, 64); err == nil && v > 0 && !math.IsInf(v, 0) {
			r.groups = v
			return nil
		}
	}
	if v, err := strconv.ParseFloat(s, 64); err == nil && v > 0 {
		return fmt.Errorf("%s of what? write %s/s for groups a second or %sKiB for bytes a second", s, s, s)
	}
	var b option.Bytes
	if err := b.UnmarshalText([]byte(strings.TrimSuffix(s, "/s"))); err != nil || b <= 0 {
		return fmt.Errorf("%q is no rate: write 20MiB for bytes a second or 500/s for groups a second", s)
	}
	r.bytes = float64(b)
	return nil
}

// per is how long one group of that size takes at this rate.
func (r *rate) per(size int) time.Duration {
	switch {
	case r.groups > 0:
		return time.Duration(float64(time.Second) / r.groups)
	case r.bytes > 0:
		return time.Duration(float64(time.Second) * float64(size) / r.bytes)
	}
	return 0
}
