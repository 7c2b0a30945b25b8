package cmd

import (
	"strings"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// placed adds to a status what the engine cannot know: where brokers and companions are,
// and where in the file the options stand that may have to be mended. Of routes and
// flushers that is said of those alone that something stands at.
func placed(st *worker.Status, cfg *configs.Config) {
	place, _ := brokerOf(cfg).describe()
	for i := range st.Sources {
		st.Sources[i].Place = place
	}
	routes, entries := standingAt(st)
	st.Config.Given = givenIn(cfg, routes)
	for i := range st.Flushers {
		f := &st.Flushers[i]
		e := cfg.Entry(f.Route, f.Flusher)
		if e == nil || !entries[f.Route+"/"+f.Flusher] {
			continue
		}
		f.At = cfg.EntryAt(e)
		for _, o := range cfg.GivenOptions(e) {
			f.Options = append(f.Options, worker.OptionStatus(o))
		}
	}
}

// standingAt are the routes and flushers that lanes or strands stand at.
func standingAt(st *worker.Status) (routes, entries map[string]bool) {
	routes, entries = map[string]bool{}, map[string]bool{}
	note := func(entry string) {
		route, _, _ := strings.Cut(entry, "/")
		routes[route], entries[entry] = true, true
	}
	for i := range st.Standing {
		note(st.Standing[i].Route + "/" + st.Standing[i].Flusher)
	}
	for i := range st.Strands {
		for _, lane := range st.Strands[i].BlockedBy {
			entry, _, _ := strings.Cut(lane, " ")
			note(entry)
		}
	}
	return routes, entries
}

// givenIn is where options stand, by their names, and the names of the companions.
func givenIn(cfg *configs.Config, routes map[string]bool) map[string]string {
	given := map[string]string{}
	note := func(name, text string) {
		if text != "" {
			given[name] = text
		}
	}
	for _, name := range []string{"limits.in_flight", "limits.work", "limits.window", "limits.lanes", "dead_letter"} {
		note(name, cfg.At(name))
	}
	note("topics", cfg.At("source.kafka.topics"))
	note("letters", lettersOf(cfg))
	if cfg.Parks() {
		_, parked := brokerOf(cfg).companions(queue.Lane{Route: "<route>", Flusher: "<flusher>"})
		note("parked", parked)
	}
	for i := range cfg.Routes {
		if r := &cfg.Routes[i]; routes[r.Name] {
			note("routes."+r.Name, cfg.RouteAt(r))
		}
	}
	return given
}
