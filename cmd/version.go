package cmd

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion(p *program) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return p.version(asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (p *program) version(asJSON bool) error {
	v := struct {
		Version string `json:"version"`
		Go      string `json:"go"`
		OS      string `json:"os"`
		Arch    string `json:"arch"`
	}{Version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(v)
	}
	fmt.Fprintf(p.stdout, "flushline %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
	return nil
}
