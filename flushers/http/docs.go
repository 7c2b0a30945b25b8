package http

import (
	_ "embed"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
)

//go:embed example.yaml
var exampleYAML string

//go:embed example.json
var exampleJSON string

func docs() flushers.Docs {
	return flushers.Docs{
		Stored: "The server answered 2xx, or a status of the option success, whatever the body of its answer says.",
		Notes:  []flushers.Note{{Title: "Requests", Text: requestsNote}, {Title: "Signatures", Text: signatureNote}},
		Trouble: []flushers.Trouble{
			{When: "408, 429, 5xx", Then: "tried again, after Retry-After if it is there; until then the lane is unready"},
			{When: "413", Then: "the batch is halved; a group that is too large alone is a dead letter"},
			{When: "401, 403, 404, 407", Then: "the lane waits until somebody mends it; nothing is dead-lettered"},
			{When: "3xx", Then: "followed to the same origin if the method stays, else as 401; never to another"},
			{When: "400 on a connection that the server closes", Then: "tried again, as the request may have been cut on its way; as any other 4xx when it is said three times of one body, each time after a body as large was taken or 10 s"},
			{When: "any other 400", Then: "asked once more, on a connection of its own, as not every server says that it closes; then as any other 4xx"},
			{When: "any other 4xx", Then: "a dead letter, with the first KiB of the answer; of several groups those to blame are found by halving"},
			{When: "a 2xx that success does not name", Then: "as 401"},
			{When: "a certificate that is not trusted, or no TLS", Then: "as 401; the files are read again for each connection, so that it heals without a restart"},
			{When: "some of several requests of a batch fail", Then: "only their groups are tried again or dead letters; after three in a row, or one without an answer, the rest of the batch waits"},
			{When: "a log has no tag or content that url, query or headers name", Then: "its group is a dead letter, unless missing_field says what stands for it"},
			{When: "no connection", Then: "tried again; the lanes to that host are unready for a second"},
			{When: "no answer within timeout, or a connection that is cut", Then: "tried again; it may have been stored and comes twice then, with the same key in idempotency_header"},
			{When: "an answer whose body is cut, never ends or is no text", Then: "its status counts; the body is waited for at most two seconds"},
		},
		ILogtail: []string{
			"A request carries all logs of a batch as JSON lines, where iLogtail posts each log alone: `format: json` does as iLogtail does, and is slower.",
			formats.FromILogtail,
			"`Concurrency` is per lane, which is a project, logstore and config.",
			"Nothing is given up after some retries, and no status is taken for success but 2xx.",
		},
		ExampleYAML: exampleYAML, ExampleJSON: exampleJSON,
	}
}

const requestsNote = "The path of `url`, the values of `query` and of `headers` may have the placeholders `{project}`, `{logstore}`, `{config}`, `{host}`, " +
	"`{tag.x}`, `{content.x}` and `{date:2006-01-02}` (the log's own time, in UTC). A batch becomes one request for each set of values that its logs have, in the " +
	"order in which they first occur; a group whose logs differ is in several, and comes again as a whole if one of them fails. Braces that are meant are written " +
	"twice. With `format: loggroup` only the key, the host and tags can be used, as a group is sent as it is.\n\n" +
	"`concurrent` is how many requests of a lane run at a time. With 1, the default, requests keep the order of the logs; with more, order is given up.\n\n" +
	"`idempotency_header` names a header with 32 hexadecimal digits that depend on the ids of the groups or logs in the request, the method, the URL and the " +
	"content type. A request that is tried again carries them again; so does, after a restart of the worker, one with the same groups. Batches form anew then, so " +
	"only `request: group`, and a request for each log, always carry the same."

const signatureNote = "With `sign: {secret: ...}` each request carries `X-Flushline-Timestamp`, decimal seconds since 1970, and `X-Flushline-Signature`, which is " +
	"`sha256=` and 64 lower-case hexadecimal digits: the HMAC-SHA256, with the secret's UTF-8 bytes as its key, of\n\n" +
	"```text\nMETHOD <LF> TARGET <LF> TIMESTAMP <LF> BODY\n```\n\n" +
	"METHOD is in capitals, TARGET the path as it stands in the request line, still percent-encoded, with `?` and the query if there is one, and BODY the bytes as " +
	"they were sent, before any decompression. Each try is signed anew. A server computes the same, compares in constant time, and refuses timestamps that are " +
	"too far from its own clock. To try it out:\n\n" +
	"```sh\n" + signatureExample + "\n# " + signatureVector + "\n```"

// What a test computes, too.
const (
	signatureExample = `printf 'POST\n/ingest/a%%2Fb?day=1970-01-01\n1700000000\n{"contents":{"msg":"x"},"tags":{},"time":1}\n' | openssl dgst -sha256 -hmac 's3cret key'`
	signatureVector  = "111c829248fa6a8566461d745a3ec0ec7f72c8fbeda1cadae32f9646671fe1c1"
)
