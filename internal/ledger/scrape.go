package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Scraper polls /status of running workers and holds each snapshot to the accounting
// identity: what was received was flushed, dead-lettered, parked, skipped, released,
// or is in flight. It reads the JSON and does the sum by itself. Safe for concurrent
// use.
type Scraper struct {
	Every time.Duration // between two snapshots of one worker; 0: 100ms
	// Broken, if set, is told of a snapshot that is wrong, as it happens.
	Broken func(what string)

	mu  sync.Mutex
	sum Scrapes
}

// Scrapes is what a Scraper saw.
type Scrapes struct {
	Snapshots int     `json:"snapshots"`
	Equations int     `json:"equations"` // of sources and flushers in them
	Unheard   int     `json:"unheard"`   // requests to workers that were down or did not answer in time
	Broken    Finding `json:"broken"`    // snapshots that are wrong or no snapshots
}

// Seen is what was seen so far.
func (s *Scraper) Seen() Scrapes {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum
}

// answerWithin bounds one request: a frozen worker answers none.
const answerWithin = 2 * time.Second

// Poll asks one worker, until the context ends.
func (s *Scraper) Poll(ctx context.Context, name, url string) {
	every := s.Every
	if every == 0 {
		every = 100 * time.Millisecond
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Timeout: answerWithin, Transport: transport}
	for {
		s.once(ctx, client, name, url)
		if !wait(ctx, every) {
			return
		}
	}
}

func (s *Scraper) once(ctx context.Context, client *http.Client, name, url string) {
	body, code, err := fetch(ctx, client, url)
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.sum.Unheard++
		return
	}
	var st status
	if err := json.Unmarshal(body, &st); code != http.StatusOK || err != nil {
		s.broken(fmt.Sprintf("%s answered %d, %v: %.200s", name, code, err, body))
		return
	}
	s.sum.Snapshots++
	n, wrong := st.check()
	s.sum.Equations += n
	for _, w := range wrong {
		s.broken(name + ": " + w)
	}
}

func (s *Scraper) broken(what string) {
	s.sum.Broken.add(what)
	if s.Broken != nil {
		s.Broken(what)
	}
}

func fetch(ctx context.Context, client *http.Client, url string) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	return body, resp.StatusCode, err
}

// status is the part of a snapshot that is checked.
type status struct {
	Defects *int64 `json:"defects"`
	Sources []struct {
		Name  string `json:"name"`
		Parts *parts `json:"parts"`
	} `json:"sources"`
	Flushers []struct {
		Route   string `json:"route"`
		Flusher string `json:"flusher"`
		Parts   *parts `json:"parts"`
	} `json:"flushers"`
}

type parts struct {
	Received     int64            `json:"received"`
	Flushed      int64            `json:"flushed"`
	DeadLettered map[string]int64 `json:"dead_lettered"`
	Parked       int64            `json:"parked"`
	Skipped      map[string]int64 `json:"skipped"`
	Released     map[string]int64 `json:"released"`
	InFlight     int64            `json:"in_flight"`
}

// check says how many equations there are and which do not hold.
func (st *status) check() (n int, wrong []string) {
	if st.Defects == nil || *st.Defects != 0 {
		wrong = append(wrong, "the worker counted defects, or does not say")
	}
	see := func(what string, p *parts) {
		n++
		if w := p.wrong(); w != "" {
			wrong = append(wrong, what+": "+w)
		}
	}
	for _, s := range st.Sources {
		see("source "+s.Name, s.Parts)
	}
	for _, f := range st.Flushers {
		see("flusher "+f.Route+"/"+f.Flusher, f.Parts)
	}
	return n, wrong
}

func (p *parts) wrong() string {
	if p == nil {
		return "it has no equation"
	}
	sum, least := p.Flushed+p.Parked+p.InFlight, min(p.Received, p.Flushed, p.Parked, p.InFlight)
	for _, by := range []map[string]int64{p.DeadLettered, p.Skipped, p.Released} {
		for _, n := range by {
			sum += n
			least = min(least, n)
		}
	}
	if sum != p.Received || least < 0 {
		return fmt.Sprintf("received %d, accounted for %d: %+v", p.Received, sum, *p)
	}
	return ""
}
