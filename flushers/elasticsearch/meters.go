package elasticsearch

import "github.com/flushline/flushline/flushers"

// meters are what operators ask of this kind, summed over the lanes of an entry.
type meters struct {
	requests, bytes, split         flushers.Counter
	stored, known, failed, refused flushers.Counter
}

func newMeters(m flushers.Metrics) *meters {
	return &meters{
		requests: m.Counter("requests_total", "Bulk requests that this entry's logs began; one that several entries share is counted for the first."),
		bytes:    m.Counter("request_bytes_total", "Bytes of action and document lines sent, before compression, repeats included."),
		split:    m.Counter("split_requests_total", "Bulk requests that were cut in two because the server found them too large."),
		stored:   m.Counter("documents_stored_total", "Documents that the server created or wrote again."),
		known:    m.Counter("documents_known_total", "Documents that the server had already, by their id."),
		failed:   m.Counter("documents_failed_total", "Documents that were not stored and may be later: each attempt counts."),
		refused:  m.Counter("documents_refused_total", "Documents that the server refused for what they hold."),
	}
}
