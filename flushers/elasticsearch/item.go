package elasticsearch

import (
	"bytes"
	"fmt"
	nethttp "net/http"

	"github.com/flushline/flushline/flushers"
)

// judge takes in the items of a piece: they come in the order of its logs.
func (p *piece) judge(items *reader, from string) {
	var done, known int
	for d := p.from; d < p.to; d++ {
		it, _ := items.next() // sumUp has seen that they are there
		switch {
		case it.status == nethttp.StatusOK || it.status == nethttp.StatusCreated:
			done++
		case it.status == nethttp.StatusConflict && p.job.create && string(it.typ) == "version_conflict_engine_exception":
			known++
		default:
			err := it.failure(from, p.job.attempt, &p.job.verdicts[p.job.docs[d].group])
			count(p.job.meters, err, 1)
		}
	}
	p.job.meters.stored.Add(int64(done))
	p.job.meters.known.Add(int64(known))
}

// count counts logs that were not stored.
func count(m *meters, err error, logs int) {
	if severityOf(err) == ofData {
		m.refused.Add(int64(logs))
	} else {
		m.failed.Add(int64(logs))
	}
}

// failure is what became of a log, and notes it for its group.
func (it *item) failure(from string, attempt int, of *verdict) error {
	why := joined(plain(it.typ), plain(it.reason))
	if len(it.cause) > 0 {
		why += " (" + plain(it.cause) + ")"
	}
	err := it.class(fmt.Errorf("%s answered %d for a log: %s", from, it.status, why), attempt)
	of.add(err)
	return err
}

// class turns what was said of one log into what the worker does next.
func (it *item) class(err error, attempt int) error {
	switch code := it.status; {
	case code == nethttp.StatusTooManyRequests, code == nethttp.StatusBadGateway,
		code == nethttp.StatusServiceUnavailable, code == nethttp.StatusGatewayTimeout:
		return flushers.RetryAfter(err, after(attempt))
	case code == nethttp.StatusUnauthorized, code == nethttp.StatusForbidden, code == nethttp.StatusNotFound:
		return flushers.Misconfigured(err)
	case code == nethttp.StatusBadRequest && it.ofAll():
		return flushers.Misconfigured(err)
	case code == nethttp.StatusBadRequest:
		return flushers.Permanent(err)
	}
	return err
}

// ofAll says that a 400 would be the answer to any log: it is about the index, the
// operation or the cluster.
func (it *item) ofAll() bool {
	switch string(it.typ) {
	case "validation_exception", // as many shards as the cluster may have
		"invalid_index_name_exception", "index_closed_exception", "invalid_alias_name_exception":
		return true
	case "illegal_argument_exception", "mapper_parsing_exception":
		for _, of := range []string{
			"only write ops with an op_type of create are allowed in data streams",
			"data stream timestamp field [@timestamp] is missing",
			"documents must contain a single-valued timestamp field",
			"pipeline with id [", // does not exist
			"no write index is defined for alias",
		} {
			if bytes.Contains(it.reason, []byte(of)) || bytes.HasPrefix(it.cause, []byte(of)) {
				return true
			}
		}
	}
	return false
}
