package file

import (
	_ "embed"

	"github.com/flushline/flushline/flushers"
)

//go:embed example.yaml
var exampleYAML string

//go:embed example.json
var exampleJSON string

func docs() flushers.Docs {
	return flushers.Docs{
		Stored: "The data, the file's name and the directories above it are synced to the disk.",
		Trouble: []flushers.Trouble{
			{When: "root is missing, or no directory that can be used", Then: "the lane waits until somebody mends it; nothing is dead-lettered"},
			{When: "the disk is full", Then: "what was written in part is cut off and the Flush is tried again; the lanes are unready for five seconds"},
			{When: "a sync fails", Then: "the Flush is tried again, with the next number: the file that failed is left alone"},
			{When: "a file is locked by another process, or not what this kind writes", Then: "it is left alone and the next number begins"},
			{When: "the worker or the machine dies", Then: "what is half written at the end of a file was never acknowledged and is cut off when the worker goes on with it; the batch comes again"},
			{When: "a log has no tag or content that path names", Then: "its group is a dead letter"},
		},
		ILogtail: []string{
			"The name of the worker and a number are put before the extension, and no file is ever deleted.",
		},
		ExampleYAML: exampleYAML, ExampleJSON: exampleJSON,
	}
}
