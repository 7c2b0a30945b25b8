// Package option turns a tagged struct into a field registry: the one place that
// feeds strict decoding, lint, `flushers describe`, the JSON schema and the
// generated docs. Every configuration struct of the project is such a struct:
// the file format itself, each queue's Config and each flusher kind.
//
// # Tags
//
//	option:"name[,required][,secret][,hidden]"   the key as documented; snake_case
//	help:"One sentence: meaning, unit, when to change."
//	enum:"a,b,c"                                 the only values
//	alias:"RemoteURL,Url"                        other names that are accepted
//	example:"https://..."                        shown by describe and docs
//
// Defaults are what the struct holds before decoding. Keys are compared without
// regard to case and underscores. Untagged fields are no options.
//
// # Field types
//
// string, bool, ints, floats, time.Duration ("30s"; a bare number is an error
// that converts it), [Bytes] ("16MiB" or bytes), [Secret], slices and
// string-keyed maps of these, nested structs, pointers to structs (nil: not
// given), and any encoding.TextUnmarshaler.
package option
