// Package slspb is what protoc-gen-go makes of ../../sls_logs.proto: the
// reference that package protocol is tested and measured against. Nothing but
// tests uses it, and building the project does not need protoc. It was made,
// from the directory of the .proto file, by
//
//	protoc -I. --go_out=internal/slspb --go_opt=paths=source_relative \
//		--go_opt=Msls_logs.proto=github.com/flushline/flushline/protocol/internal/slspb sls_logs.proto
package slspb
