package cmd

import "context"

// onHangup does nothing: there is no such signal. `flushline reload` does the same.
func onHangup(context.Context, func()) {}
