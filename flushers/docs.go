package flushers

// Docs is what a kind says of itself to its users beyond its options: complete
// sentences. What it leaves out is left out of the page.
type Docs struct {
	Stored   string    // what Flush took for stored when it returned nil
	Trouble  []Trouble // what happens when the destination does not do as it should
	Notes    []Note    // what takes more than an option's line, such as how a signature is verified
	ILogtail []string  // how it differs from iLogtail's flusher of that name

	// A whole configuration that uses the kind with all its options, and the same
	// in JSON. `flushers describe --yaml` prints the first.
	ExampleYAML string
	ExampleJSON string
}

// Note is a section of a kind's page, in Markdown.
type Note struct{ Title, Text string }

// Trouble is one thing that goes wrong, and what happens then.
type Trouble struct {
	When string // "408, 429, 5xx"
	Then string // "tried again, after Retry-After if it is there"
}
