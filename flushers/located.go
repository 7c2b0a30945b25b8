package flushers

// Located is implemented by flushers that can say, as soon as their options are
// filled in and before Init, where the data of one key goes: `flushline explain` shows
// it. It is found by type assertion.
type Located interface {
	// Locate is one line in the kind's own words, such as a path, a URL or a table. What
	// depends on the single log stays as it is configured. It must not open or ask
	// anything, and shows no secret.
	Locate(projectName, logstoreName, configName string) string
}
