package stdout

import "github.com/flushline/flushline/option"

// ForeignKeys are those of iLogtail's flusher_stdout.
func (f *Flusher) ForeignKeys() []option.ForeignKey {
	return []option.ForeignKey{
		{Name: "FileName", Same: []string{""}, Refuse: true, Why: "use type: file with path, which syncs what it writes"},
		{Name: "MaxSize", Why: "it belongs to FileName; type: file has max_size"},
		{Name: "MaxRolls", Why: "it belongs to FileName"},
		{Name: "OnlyStdout", Same: []string{"true"}, Why: "logs are never printed anywhere else"},
		{Name: "KeyValuePairs", Same: []string{"true"}, Why: "format: json always names the keys; format: pretty is for people"},
		{Name: "Tags", Same: []string{"true"}, Why: "tags are always printed"},
	}
}
