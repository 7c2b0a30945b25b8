package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/flushline/flushline/worker"
)

// Bounds and defaults of POST /tap.
const (
	TapGroups  = 10
	TapFor     = 10 * time.Second
	tapLongest = time.Hour

	// tapPatience is how long a reader may take nothing.
	tapPatience = 10 * time.Second
)

// The query parameters of POST /tap, beside [TargetParameters] without the strand.
const (
	ParamGroups   = "groups"   // it ends after so many; TapGroups
	ParamFor      = "for"      // it ends after so long; TapFor
	ParamContents = "contents" // true: with the values of contents and tags
)

// TapLine is a line of the answer to POST /tap: a sample, or at last how it ended.
type TapLine struct {
	Sample *worker.Sample `json:"sample,omitempty"`
	End    *TapEnd        `json:"end,omitempty"`
}

// TapEnd is how a tap ended: it has shown all it was asked for, or its time was over,
// or the worker has stopped.
type TapEnd struct {
	worker.TapCounts
	Shown  int64  `json:"shown"`
	Reason string `json:"reason"` // TapEndGroups, TapEndTime, TapEndStopped
}

// The values of TapEnd.Reason.
const (
	TapEndGroups  = "groups"
	TapEndTime    = "time"
	TapEndStopped = "stopped"
)

var errTapTime = errors.New("its time is over")

// tap writes samples as they come, a line each. It ends with whoever asked.
func tap(w Worker) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		q, lasts, ok := tapRequest(rw, r)
		if !ok {
			return
		}
		t, err := w.Tap(q)
		if err != nil {
			refuse(rw, err)
			return
		}
		defer t.Close()
		ctx, cancel := context.WithTimeoutCause(r.Context(), lasts, errTapTime)
		defer cancel()
		rw.Header().Set("Content-Type", "application/x-ndjson")
		rw.Header().Set("Cache-Control", "no-store")
		out := &tapWriter{http.NewResponseController(rw), json.NewEncoder(rw)}
		out.extend()
		if out.Flush() != nil { // so that who asked knows that it is open
			return
		}
		var end TapEnd
		for end.Reason == "" {
			s, err := t.Next(ctx)
			switch {
			case err == nil:
				if out.line(TapLine{Sample: s}) != nil {
					return // it has gone, or reads nothing
				}
				end.Shown++
			case errors.Is(err, io.EOF):
				end.Reason = TapEndGroups
			case errors.Is(err, errTapTime):
				end.Reason = TapEndTime
			case errors.Is(err, worker.ErrTapStopped):
				end.Reason = TapEndStopped
			default:
				return
			}
		}
		end.TapCounts = t.Counts()
		_ = out.line(TapLine{End: &end}) // whoever asked may have gone
	}
}

// tapRequest reads what a request is about. False: it was answered.
func tapRequest(rw http.ResponseWriter, r *http.Request) (q worker.TapRequest, lasts time.Duration, ok bool) {
	query, ok := queryOf(rw, r)
	if !ok {
		return q, 0, false
	}
	groups, contents, lasts := TapGroups, false, TapFor
	for name, read := range map[string]func(string) error{
		ParamGroups:   func(s string) (err error) { groups, err = strconv.Atoi(s); return err },
		ParamContents: func(s string) (err error) { contents, err = strconv.ParseBool(s); return err },
		ParamFor: func(s string) (err error) {
			if lasts, err = time.ParseDuration(s); err == nil && (lasts <= 0 || lasts > tapLongest) {
				err = fmt.Errorf("it must be above 0 and at most %s", tapLongest)
			}
			return err
		},
	} {
		values, given := query[name]
		delete(query, name)
		if !given {
			continue
		}
		if err := read(values[0]); err != nil {
			answer(rw, http.StatusBadRequest, fmt.Sprintf("the parameter %s: %v", name, err))
			return q, 0, false
		}
	}
	t, ok := targetOf(rw, query)
	return worker.TapRequest{Target: t, Groups: groups, Contents: contents}, lasts, ok
}

// tapWriter writes lines, each at once and within tapPatience.
type tapWriter struct {
	*http.ResponseController
	*json.Encoder
}

func (w *tapWriter) line(l TapLine) error {
	w.extend()
	if err := w.Encode(&l); err != nil {
		return err
	}
	return w.Flush()
}

func (w *tapWriter) extend() {
	_ = w.SetWriteDeadline(time.Now().Add(tapPatience)) // a recorder of a test has none
}
