// Package option turns a tagged struct into a field registry: the one place that
// feeds strict decoding, lint, `flushers describe`, the JSON schema and the
// generated docs. Every configuration struct of the project is such a struct:
// the file format itself, each queue's Config and each flusher kind.
//
// # Tags
//
//	option:"name[,required][,secret][,hidden]"   the key as documented; snake_case
//	help:"One sentence: meaning, unit, when to change."
//	enum:"a,b,c"                                 the only values, of text; "" is none if that is one
//	min:"1" max:"64MiB"                          limits of numbers, sizes and durations
//	alias:"RemoteURL,Url"                        other names that are accepted
//	example:"https://..."                        shown by describe and docs
//
// Defaults are what the struct holds before decoding; a struct that is created
// while decoding (a pointer, an element of a list) gets them from [Defaulter].
// Keys are compared without regard to case and underscores. Untagged fields are
// no options, except that the fields of an untagged embedded struct count as the
// outer struct's own. A list or map in the file replaces the default as a whole.
//
// # Field types
//
// string, bool, ints, floats, time.Duration ("30s"; a bare number is an error
// that converts it), [Bytes] ("16MiB" or bytes), [Secret], any
// encoding.TextUnmarshaler, nested structs, pointers to any of these (nil: not
// given), slices and string-keyed maps of these, and *[Node] for what the caller
// decodes itself.
//
// # Hooks
//
// A struct that implements [Validator] checks its fields against each other; one
// that implements [Migrating] names keys of other programs that people paste in.
// A tag that breaks these rules is a defect of the program: [Check] finds it in a
// test, and Decode refuses to go on as if nothing was wrong.
package option
