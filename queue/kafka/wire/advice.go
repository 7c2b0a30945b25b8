package wire

// Advice says what to do about err in words for the person who runs flushline; ""
// if there is nothing to say beyond err.
func Advice(err error) string { return advise(err) }

func advise(error) string { return "" }
