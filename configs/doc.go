// Package configs is flushline's configuration file: its format, a strict loader
// that reports everything that is wrong at once and where, its JSON schema, and
// ready-made examples beside it.
//
// A file names one source, the routes with their flushers, and little else:
//
//	source:
//	  nats: {url: "nats://127.0.0.1:4222", stream: LOGS, durable: flushline}
//	routes:
//	  - name: all
//	    flushers:
//	      - {type: stdout}
//
// # What a value may be
//
// Sizes are "16MiB" or a number of bytes, durations "30s". Any value may be, or
// contain, ${env:NAME} and ${file:PATH} (relative to the configuration file, line
// ends at its end cut); $${ stands for ${. Keys are compared without regard to
// case and underscores. Files whose name ends in .json are read as JSON, all
// others as YAML with anchors and merges, one document a file.
//
// # What is not printed
//
// Secrets appear neither in problems nor in the lines of the file shown with
// them; nor in any formatting of a [Config].
package configs
