package http

import (
	"github.com/flushline/flushline/option"
)

// ForeignKeys are those of iLogtail's flusher_http that are no options here. Its
// Retry is the engine's.
func (f *Flusher) ForeignKeys() []option.ForeignKey {
	const (
		noInterceptors = "this version has no interceptors: remove it"
	)
	return []option.ForeignKey{
		{Name: "Encoder", Refuse: true, Secret: true, Why: "there are no encoders beside format"},
		{Name: "WriteBufferSize", Why: "a request is written at once"},
		{Name: "Authenticator", Refuse: true, Secret: true, Same: []string{""}, Why: "use user and password, token or headers"},
		{Name: "FlushInterceptor", Refuse: true, Secret: true, Same: []string{""}, Why: noInterceptors},
		{Name: "RequestInterceptors", Refuse: true, Secret: true, Why: noInterceptors},
		{Name: "AsyncIntercept", Same: []string{"false"}, Why: "there are no interceptors"},
		{Name: "QueueCapacity", Why: "there is no queue behind Flush; limits bounds memory"},
		{Name: "DropEventWhenQueueFull", Same: []string{"false"}, Why: "nothing is ever dropped"},
	}
}
