package http

import (
	"strings"

	"github.com/flushline/flushline/option"
)

// ForeignKeys are those of iLogtail's flusher_http that are no options here. Its
// Retry is the engine's.
func (f *Flusher) ForeignKeys() []option.ForeignKey {
	const (
		noInterceptors = "this version has no interceptors: remove it"
		noRename       = "this version renames nothing, tags keep the names they have: remove it"
	)
	return []option.ForeignKey{
		{Name: "Query", Refuse: true, Secret: true, Why: "write the query into url, without templates: this version posts to the same URL always"},
		{Name: "Encoder", Refuse: true, Secret: true, Why: "there are no encoders beside format: jsonl and format: loggroup"},
		{Name: "Convert", Refuse: true, Why: "below it stand Protocol and Encoding", Keys: []option.ForeignKey{
			{Name: "Protocol", Refuse: true, Same: []string{"", "custom_single"}, Why: "this version posts custom_single as JSON lines (format: jsonl) or protobuf (format: loggroup)"},
			{Name: "Encoding", Refuse: true, Same: []string{"", "json"}, Why: "format says it: jsonl is JSON, loggroup is protobuf"},
			{Name: "Separator", Same: []string{""}, Why: "it belongs to the protocol raw"},
			{Name: "IgnoreUnExpectedData", Same: []string{"true"}, Why: "every log can be written in every format"},
			{Name: "TagFieldsRename", Refuse: true, Why: noRename},
			{Name: "ProtocolFieldsRename", Refuse: true, Why: noRename},
		}},
		{Name: "Concurrency", Same: []string{"1"}, Why: "each project, logstore and config has a lane of its own with one request at a time"},
		{Name: "MaxConnsPerHost", Same: []string{"0"}, Why: "a lane has one request at a time; limits.lanes bounds their number"},
		{Name: "IdleConnTimeout", Why: "idle connections are closed after 90s"},
		{Name: "WriteBufferSize", Why: "a request is written at once"},
		{Name: "Authenticator", Refuse: true, Secret: true, Same: []string{""}, Why: "use user and password, token or headers"},
		{Name: "FlushInterceptor", Refuse: true, Secret: true, Same: []string{""}, Why: noInterceptors},
		{Name: "RequestInterceptors", Refuse: true, Secret: true, Why: noInterceptors},
		{Name: "AsyncIntercept", Same: []string{"false"}, Why: "there are no interceptors"},
		{Name: "QueueCapacity", Why: "there is no queue behind Flush; limits bounds memory"},
		{Name: "DropEventWhenQueueFull", Same: []string{"false"}, Why: "nothing is ever dropped"},
	}
}

// templated finds iLogtail's placeholders, which its headers may have.
func templated(value string) bool {
	for _, begin := range []string{"%{content.", "%{tag.", "%{metadata.", "%{+"} {
		if strings.Contains(value, begin) {
			return true
		}
	}
	return false
}
