package admin

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/flushline/flushline/worker"
)

// Paused is the body of the answer to POST /pause.
type Paused struct {
	Paused []string `json:"paused"`
}

// Resumed is the body of the answer to POST /resume.
type Resumed struct {
	Resumed []string `json:"resumed"` // what had stopped or was paused, and goes on
}

// TargetParameters are the query parameters of POST /pause, /resume and /tap, and
// which field of a target each of them is.
func TargetParameters(t *worker.Target) map[string]*string {
	return map[string]*string{
		"route": &t.Route, "flusher": &t.Flusher,
		"project": &t.Project, "logstore": &t.Logstore, "config": &t.Config,
		"strand": &t.Strand,
	}
}

// target reads what a request is about. False: it was answered.
func target(rw http.ResponseWriter, r *http.Request) (t worker.Target, ok bool) {
	query, ok := queryOf(rw, r)
	if !ok {
		return t, false
	}
	return targetOf(rw, query)
}

// queryOf reads the parameters of a request. False: it was answered.
func queryOf(rw http.ResponseWriter, r *http.Request) (url.Values, bool) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		answer(rw, http.StatusBadRequest, "couldn't read the query: "+err.Error())
		return nil, false
	}
	return query, true
}

func targetOf(rw http.ResponseWriter, query url.Values) (t worker.Target, ok bool) {
	fields := TargetParameters(&t)
	for name, values := range query {
		field := fields[name]
		if field == nil || len(values) != 1 || values[0] == "" {
			answer(rw, http.StatusBadRequest, "the parameter "+name+" must be one of route, flusher, project, logstore, config and strand, once and with a value")
			return t, false
		}
		*field = values[0]
	}
	return t, true
}

func pause(w Worker) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		t, ok := target(rw, r)
		if !ok {
			return
		}
		if err := w.Pause(t); err != nil {
			refuse(rw, err)
			return
		}
		answerJSON(rw, Paused{[]string{t.String()}})
	}
}

// resume ends the pause that the query names, or without any lets go on what guards
// have stopped.
func resume(w Worker) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		t, ok := target(rw, r)
		switch {
		case !ok:
			return
		case t == worker.Target{}:
			answerJSON(rw, Resumed{list(w.Resume())})
			return
		}
		was, err := w.Unpause(t)
		switch {
		case err != nil:
			refuse(rw, err)
		case was:
			answerJSON(rw, Resumed{[]string{t.String()}})
		default:
			answerJSON(rw, Resumed{[]string{}})
		}
	}
}

func reload(w Worker) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		changes, err := w.Reload()
		if err != nil {
			refuse(rw, err)
			return
		}
		answerJSON(rw, changes)
	}
}

// refuse says why nothing was changed: because of what was asked for, or of the time.
func refuse(rw http.ResponseWriter, err error) {
	code := http.StatusUnprocessableEntity
	if errors.Is(err, ErrNotNow) || errors.Is(err, worker.ErrStopping) || errors.Is(err, worker.ErrTaps) {
		code = http.StatusServiceUnavailable
	}
	answer(rw, code, err.Error())
}
