package http

import "testing"

// A query may carry a credential.
func TestLocateShowsTheURLWithoutItsQuery(t *testing.T) {
	t.Parallel()
	f := newFlusher()
	f.URL = "https://logs.example.com/in%20gest?token=s3cret"
	want := "POST https://logs.example.com/in%20gest with x-log-project: shop, x-log-logstore: web%20eu, x-log-config: app"
	if got := f.Locate("shop", "web eu", "app"); got != want {
		t.Errorf("located at %s, want %s", got, want)
	}
}
