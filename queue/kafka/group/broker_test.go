package group

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// broker is a coordinator of one group as Apache Kafka's classic group protocol
// has it: states, pending ids, session and rebalance timers, static members, and
// what it remembers over a failover. It is told the time and answers by calling
// back, at once or when the round allows it.
type broker struct {
	now        time.Time
	state      string // empty, preparing, completing, stable
	generation int32
	leader     string
	members    map[string]*fellow
	pending    map[string]time.Time // ids given out and not used yet, and when they expire
	until      time.Time            // of the round
	lastID     int

	offsets map[wire.TopicPartition]wire.Committed
	commits []accepted

	hung []hung // who waits for a broker that is gone without a word

	stored   func() // brings back what a successor would load
	failover int    // number of the coordinator that it is
	loading  bool
	down     bool // nobody leads the group: no session ends
}

// fellow is a member as the broker sees it.
type fellow struct {
	id, instance       string
	session, rebalance time.Duration
	metadata           []byte
	assignment         []byte
	expires            time.Time
	join               func(*wire.JoinResponse, error)
	sync               func([]byte, error)
}

// accepted is a commit that was stored.
type accepted struct {
	wire.CommitPartition
	member     string
	generation int32
}

type hung struct {
	until  time.Time
	answer func()
}

var errCutOff = errors.New("connection cut")

func newBroker(now time.Time) *broker {
	b := &broker{now: now, state: "empty", members: map[string]*fellow{}, pending: map[string]time.Time{}, offsets: map[wire.TopicPartition]wire.Committed{}}
	b.store()
	return b
}

// store remembers the group as the broker writes it to its log: when a round is
// complete.
func (b *broker) store() {
	state, generation, leader := b.state, b.generation, b.leader
	members := map[string]fellow{}
	for id, f := range b.members {
		kept := *f
		kept.join, kept.sync = nil, nil
		members[id] = kept
	}
	b.stored = func() {
		b.state, b.generation, b.leader = state, generation, leader
		clear(b.members)
		for id, f := range members {
			f.expires = b.now.Add(f.session)
			b.members[id] = &f
		}
	}
}

// fail lets another broker take the group over: who waits is cut off, at once or
// when it has waited long enough; what was not stored is gone, session timers begin
// anew.
func (b *broker) fail(silent bool) {
	b.failover++
	b.down = false
	for _, f := range b.members {
		if silent {
			b.hung = append(b.hung, hung{b.now.Add(9 * time.Second), func() {
				f.answerJoin(nil, errCutOff)
				f.answerSync(nil, errCutOff)
			}})
			continue
		}
		f.answerJoin(nil, errCutOff)
		f.answerSync(nil, errCutOff)
	}
	clear(b.pending)
	b.stored()
}

func (b *broker) addr() string { return fmt.Sprintf("broker-%d:9092", b.failover) }

// open is what keeps a broker from answering for the group.
func (b *broker) open(addr string) error {
	switch {
	case addr != b.addr():
		return kafka.NotCoordinatorForGroup
	case b.loading:
		return kafka.GroupLoadInProgress
	}
	return nil
}

// member finds who is calling.
func (b *broker) member(id, instance string) (*fellow, error) {
	if instance != "" {
		if f := b.static(instance); f != nil && f.id != id {
			return nil, kafka.FencedInstanceID
		}
	}
	if f := b.members[id]; f != nil {
		return f, nil
	}
	return nil, kafka.UnknownMemberId
}

func (b *broker) static(instance string) *fellow {
	for _, f := range b.members {
		if f.instance == instance {
			return f
		}
	}
	return nil
}

// pass lets time go by.
func (b *broker) pass(now time.Time) {
	b.now = now
	for len(b.hung) > 0 && now.After(b.hung[0].until) {
		b.hung[0].answer()
		b.hung = b.hung[1:]
	}
	if b.down {
		return
	}
	for id, at := range b.pending {
		if now.After(at) {
			delete(b.pending, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.members)) {
		if f := b.members[id]; f.join == nil && f.sync == nil && now.After(f.expires) {
			b.remove(f)
		}
	}
	if b.state == "preparing" && now.After(b.until) {
		for _, id := range slices.Sorted(maps.Keys(b.members)) {
			if f := b.members[id]; f.join == nil && f.instance == "" {
				delete(b.members, id)
			}
		}
		clear(b.pending)
	}
	b.complete()
}

func (b *broker) remove(f *fellow) {
	delete(b.members, f.id)
	f.answerJoin(nil, kafka.UnknownMemberId)
	f.answerSync(nil, kafka.UnknownMemberId)
	b.prepare()
	b.complete()
}

func (f *fellow) answerJoin(r *wire.JoinResponse, err error) {
	if f.join != nil {
		f.join(r, err)
		f.join = nil
	}
}

func (f *fellow) answerSync(data []byte, err error) {
	if f.sync != nil {
		f.sync(data, err)
		f.sync = nil
	}
}

// prepare opens a round.
func (b *broker) prepare() {
	if b.state == "preparing" {
		return
	}
	b.state, b.until = "preparing", b.now
	for _, f := range b.members {
		f.answerSync(nil, kafka.RebalanceInProgress)
		b.until = later(b.until, b.now.Add(f.rebalance))
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// complete begins the next generation when everybody has joined.
func (b *broker) complete() {
	if b.state != "preparing" || len(b.pending) > 0 && b.now.Before(b.until) {
		return
	}
	for _, f := range b.members {
		if f.join == nil && (f.instance == "" || b.now.Before(b.until)) {
			return
		}
	}
	b.generation++
	if len(b.members) == 0 {
		b.state = "empty"
		b.store()
		return
	}
	b.state = "completing"
	ids := slices.Sorted(maps.Keys(b.members))
	if f := b.members[b.leader]; f == nil || f.join == nil {
		b.leader = ids[slices.IndexFunc(ids, func(id string) bool { return b.members[id].join != nil })]
	}
	for _, id := range ids {
		f := b.members[id]
		f.assignment, f.expires = nil, b.now.Add(f.session)
		f.answerJoin(b.current(f), nil)
	}
}

// current is the answer to a join of the generation at hand.
func (b *broker) current(f *fellow) *wire.JoinResponse {
	r := &wire.JoinResponse{Generation: b.generation, Protocol: protocolName, Leader: b.leader, Member: f.id}
	if f.id == b.leader {
		for _, id := range slices.Sorted(maps.Keys(b.members)) {
			o := b.members[id]
			r.Members = append(r.Members, wire.JoinMember{Member: id, Instance: o.instance, Metadata: o.metadata})
		}
	}
	return r
}

func (b *broker) join(addr string, q *wire.JoinRequest, reply func(*wire.JoinResponse, error)) {
	if err := b.open(addr); err != nil {
		reply(nil, err)
		return
	}
	metadata := q.Protocols[0].Metadata
	if q.Member == "" {
		b.lastID++
		id := fmt.Sprintf("id-%d", b.lastID)
		if q.Instance == "" {
			b.pending[id] = b.now.Add(q.Session)
			reply(&wire.JoinResponse{Member: id}, kafka.MemberIDRequired)
			return
		}
		b.joinStatic(id, q, reply)
		return
	}
	if _, ok := b.pending[q.Member]; ok {
		delete(b.pending, q.Member)
		b.enter(q.Member, q, reply)
		return
	}
	f, err := b.member(q.Member, q.Instance)
	if err != nil {
		reply(nil, err)
		return
	}
	same := bytes.Equal(f.metadata, metadata)
	f.metadata, f.expires = metadata, b.now.Add(f.session)
	if same && (b.state == "completing" || b.state == "stable" && b.leader != f.id) {
		reply(b.current(f), nil)
		return
	}
	f.join = reply
	b.prepare()
	b.complete()
}

func (b *broker) enter(id string, q *wire.JoinRequest, reply func(*wire.JoinResponse, error)) {
	b.members[id] = &fellow{
		id: id, instance: q.Instance, session: q.Session, rebalance: q.Rebalance,
		metadata: q.Protocols[0].Metadata, expires: b.now.Add(q.Session), join: reply,
	}
	b.prepare()
	b.complete()
}

// joinStatic is a static member's first join: of a stable group it gets the seat
// of its predecessor without a round.
func (b *broker) joinStatic(id string, q *wire.JoinRequest, reply func(*wire.JoinResponse, error)) {
	old := b.static(q.Instance)
	if old == nil {
		b.enter(id, q, reply)
		return
	}
	delete(b.members, old.id)
	old.answerJoin(nil, kafka.FencedInstanceID)
	old.answerSync(nil, kafka.FencedInstanceID)
	f := &fellow{
		id: id, instance: q.Instance, session: q.Session, rebalance: q.Rebalance,
		metadata: q.Protocols[0].Metadata, assignment: old.assignment, expires: b.now.Add(q.Session),
	}
	b.members[id] = f
	if b.state == "stable" {
		r := b.current(f)
		r.Members, r.Leader = nil, b.leader
		if b.leader == old.id {
			b.leader = id // the answer still names the predecessor: there is nothing to plan
		}
		reply(r, nil)
		b.store()
		return
	}
	if b.leader == old.id {
		b.leader = id
	}
	f.join = reply
	b.prepare()
	b.complete()
}

func (b *broker) sync(addr string, q *wire.SyncRequest, reply func([]byte, error)) {
	if err := b.open(addr); err != nil {
		reply(nil, err)
		return
	}
	f, err := b.member(q.Member, q.Instance)
	switch {
	case err != nil:
		reply(nil, err)
	case q.Generation != b.generation:
		reply(nil, kafka.IllegalGeneration)
	case b.state == "preparing":
		reply(nil, kafka.RebalanceInProgress)
	case b.state == "stable":
		reply(f.assignment, nil)
	default:
		f.sync = reply
		if f.id == b.leader {
			b.assign(q.Assignments)
		}
	}
}

func (b *broker) assign(assignments map[string][]byte) {
	b.state = "stable"
	for _, id := range slices.Sorted(maps.Keys(b.members)) {
		f := b.members[id]
		f.assignment, f.expires = assignments[id], b.now.Add(f.session)
	}
	b.store()
	for _, id := range slices.Sorted(maps.Keys(b.members)) {
		b.members[id].answerSync(assignments[id], nil)
	}
}

// settled is what a beat and a commit have in common.
func (b *broker) settled(addr string, m wire.Membership) error {
	if err := b.open(addr); err != nil {
		return err
	}
	f, err := b.member(m.Member, m.Instance)
	if err != nil {
		return err
	}
	if m.Generation != b.generation {
		return kafka.IllegalGeneration
	}
	f.expires = b.now.Add(f.session)
	return nil
}

func (b *broker) heartbeat(addr string, m wire.Membership) error {
	err := b.settled(addr, m)
	if err == nil && b.state == "preparing" {
		return kafka.RebalanceInProgress
	}
	return err
}

func (b *broker) commit(addr string, m wire.Membership, ps []wire.CommitPartition) error {
	err := b.settled(addr, m)
	if err == nil && b.state == "completing" {
		err = kafka.RebalanceInProgress
	}
	if err != nil {
		return err
	}
	for _, p := range ps {
		b.offsets[p.TopicPartition] = wire.Committed{Offset: p.Offset, Metadata: p.Metadata}
		b.commits = append(b.commits, accepted{CommitPartition: p, member: m.Member, generation: m.Generation})
	}
	return nil
}

func (b *broker) committed(addr string, ps []wire.TopicPartition) (map[wire.TopicPartition]wire.Committed, error) {
	if err := b.open(addr); err != nil {
		return nil, err
	}
	all := map[wire.TopicPartition]wire.Committed{}
	for _, p := range ps {
		c, ok := b.offsets[p]
		if !ok {
			c.Offset = -1
		}
		all[p] = c
	}
	return all, nil
}

func (b *broker) leave(addr string, m wire.Membership) error {
	if err := b.open(addr); err != nil {
		return err
	}
	if _, ok := b.pending[m.Member]; ok {
		delete(b.pending, m.Member)
		b.complete()
		return nil
	}
	f, err := b.member(m.Member, m.Instance)
	if err != nil {
		return err
	}
	b.remove(f)
	return nil
}
