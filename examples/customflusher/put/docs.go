package put

import "github.com/flushline/flushline/flushers"

// docs is what an operator reads in `flushers describe put`.
func docs() flushers.Docs {
	return flushers.Docs{
		Stored: "The server answered 200, 201 or 204. Whether it keeps what it is sent through a loss of power is the server's side.",
		Trouble: []flushers.Trouble{
			{When: "the server cannot be reached", Then: "not ready for a second, then tried again"},
			{When: "408, 503, other 5xx, no answer within timeout", Then: "tried again; 503 after Retry-After if it is there"},
			{When: "429", Then: "tried again, after Retry-After if it is there"},
			{When: "413", Then: "a dead letter: one group is one request"},
			{When: "400, 422, or a tag of the url that the group lacks", Then: "a dead letter"},
			{When: "any other answer: 401, 403, 404, a redirect, 202", Then: "the lane tries again every 30 s and says so in status"},
		},
	}
}
