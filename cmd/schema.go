package cmd

import (
	"github.com/spf13/cobra"

	"github.com/flushline/flushline/configs"
)

func newSchema(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of the configuration, for editors",
		Long: `Prints the JSON schema of the configuration with every kind of flusher this
program has. Editors use it, for example with this first line in a YAML file:
  # yaml-language-server: $schema=flushline.schema.json

Exit codes: 0 done.`,
		Example: "  flushline schema > flushline.schema.json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := configs.Schema(p.kinds)
			if err != nil {
				return err
			}
			_, err = p.stdout.Write(schema)
			return err
		},
	}
}
