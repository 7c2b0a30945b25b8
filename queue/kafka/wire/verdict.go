package wire

import "errors"

// errUnnamed is the verdict on what an answer leaves out: nothing is done that no
// broker said is done.
var errUnnamed = errors.New("the broker's answer does not name it")

// note keeps failures only.
func note[K comparable](failed map[K]error, key K, err error) {
	if err == nil {
		delete(failed, key)
	} else {
		failed[key] = err
	}
}

// outcome is no map with an error.
func outcome[K comparable, V any](m map[K]V, err error) (map[K]V, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}
