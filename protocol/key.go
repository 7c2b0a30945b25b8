package protocol

// Key is what a LogGroup is routed by.
type Key struct {
	Project  string `json:"project"`
	Logstore string `json:"logstore"`
	Config   string `json:"config"`
}

func (k Key) String() string { return k.Project + "/" + k.Logstore + "/" + k.Config }

// LogstoreKey is a stable 64-bit hash of project, logstore and config (FNV-1a,
// the three separated by a zero byte). It is the logstoreKey of IsReady.
func (k Key) LogstoreKey() int64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i, s := range [3]string{k.Project, k.Logstore, k.Config} {
		if i > 0 {
			h *= prime // a zero byte: xor changes nothing
		}
		for j := range len(s) {
			h = (h ^ uint64(s[j])) * prime
		}
	}
	return int64(h)
}
