package worker

import "slices"

// table is where keys go, as one reload said. It is never changed: the next reload
// makes another. Entries live on from one to the next.
type table struct {
	routes  []*route
	leaving []*entry // that a reload removed, until they hold nothing any more
}

func firstTable(w *Worker, cfg []Route) *table {
	t := &table{}
	for i := range cfg {
		t.routes = append(t.routes, newRoute(&cfg[i], func(route string, e Entry) *entry { return newEntry(w, route, e) }))
	}
	t.setPolicies()
	return t
}

// setPolicies tells the entries what their routes say.
func (t *table) setPolicies() {
	for _, r := range t.routes {
		for _, e := range r.entries {
			e.parkAfter.Store(int64(r.park))
			e.strict.Store(r.strict)
		}
	}
}

// all lists the entries that may have lanes.
func (t *table) all() []*entry {
	var es []*entry
	for _, r := range t.routes {
		es = append(es, r.entries...)
	}
	return append(es, t.leaving...)
}

// routesTo says whether messages that are handed out by this table may go to e.
func (t *table) routesTo(e *entry) bool {
	for _, r := range t.routes {
		if slices.Contains(r.entries, e) {
			return true
		}
	}
	return false
}

// adopt has the strand route by the newest table, once for each Fetch result. As
// long as using names a table, its entries are not forgotten, although a reload may
// have removed them: parts for them may still come. That it is stored before the
// newest table is read a second time is what reap relies on.
func (s *strand) adopt() {
	for {
		t := s.w.table.Load()
		s.using.Store(t)
		if s.w.table.Load() != t {
			continue
		}
		if s.table != t {
			s.table = t
			clear(s.targets.of)
		}
		return
	}
}
