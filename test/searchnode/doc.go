// Package searchnode runs a real OpenSearch or Elasticsearch for tests: one node of a
// released version, in a process of this test, on loopback.
//
// [Start] gives a test a node of its own, [Shared] the one of its test process and
// product (with [Main] in TestMain), [Run] serves programs. A node takes four to eight
// seconds to start and some 400 MB, so a package's tests share one where they can: an
// index per test keeps them apart.
//
// The jars come from Maven, as the projects in dist/ name them, and beside them stands a
// small main class, compiled with javac: neither product comes with one that Maven has.
// Both once per machine ([Jars]). Where Java, javac or Maven is missing tests skip, or
// fail if FLUSHLINE_REQUIRE_SEARCH is set.
//
// No node is handed out before it answered with the cluster name that it was given, and,
// on Linux, before its process is seen to hold its port. On Linux a node dies with the
// process that started it, however that ends.
//
// Painless, the ingest processors and the security plugins are not there. A plugin of
// dist/ stands in for the last: it asks for an Authorization header, and with OpenSearch
// for HTTPS.
//
// # What they answer
//
// As seen here, and not in the documentation of both:
//
//	body over http.max_content_length   413 with an empty body, counted after decompression
//	thread_pool.write queue is full     429 for items, in a 200
//	indexing_pressure.memory.limit      429 for the whole request
//	breaker of requests in flight       429 for the whole request
//	text/plain                          406, with `error` a string
//	unknown action, no last newline     400 for the whole request
//	a bulk to a data stream's name      Elasticsearch from Maven has none: it makes an index
package searchnode
