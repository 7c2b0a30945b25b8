package jobstate

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// The keys of a shard's partition:
//
//	claim/EPOCH/ID     who claimed the shard
//	beat/EPOCH         the holder's sign of life, or that it has let go
//	checkpoint/EPOCH   what the holder saved last
const (
	claimKey      = "claim"
	beatKey       = "beat"
	checkpointKey = "checkpoint"
)

// shard is what the records of a partition come to, read up to an offset.
type shard struct {
	next  int64 // offset to go on at
	epoch int64 // of the newest claim; 0: there is none
	id    string
	by    string // who that is
	free  bool   // it has let go
	beats int64  // signs of life of its, so far

	checkpoint []byte
	saved      int64 // epoch of the checkpoint; 0: there is none

	keys map[string]int64 // what is stored, by epoch
}

type claimValue struct {
	By string `json:"by"`
}

type beatValue struct {
	Released bool `json:"released"`
}

// apply takes in the next record. What it cannot read was written by a later version,
// or by nobody who should: it changes nothing.
func (s *shard) apply(m *queue.Message) {
	key := string(m.Key)
	fields := strings.Split(key, "/")
	if len(fields) < 2 {
		return
	}
	epoch, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || epoch < 1 {
		return
	}
	if s.keys == nil {
		s.keys = map[string]int64{}
	}
	if m.Value == nil {
		delete(s.keys, key)
		return
	}
	s.keys[key] = epoch
	switch {
	case fields[0] == claimKey && len(fields) == 3 && epoch > s.epoch:
		var v claimValue
		if json.Unmarshal(m.Value, &v) == nil {
			s.epoch, s.id, s.by, s.free = epoch, fields[2], v.By, false
			s.beats++
		}
	case fields[0] == beatKey && epoch == s.epoch:
		var v beatValue
		if json.Unmarshal(m.Value, &v) == nil {
			s.free = v.Released
			s.beats++
		}
	case fields[0] == checkpointKey && epoch >= s.saved:
		s.checkpoint, s.saved = m.Value, epoch
		if epoch == s.epoch {
			s.beats++
		}
	}
}

// held says whether somebody has the shard, as far as was read.
func (s *shard) held() bool { return s.epoch > 0 && !s.free }

func claimRecord(epoch int64, id, by string) wire.Record {
	value, _ := json.Marshal(claimValue{By: by}) // strings are always encoded
	return wire.Record{Key: fmt.Appendf(nil, "%s/%d/%s", claimKey, epoch, id), Value: value}
}

func beatRecord(epoch int64, released bool) wire.Record {
	value, _ := json.Marshal(beatValue{Released: released})
	return wire.Record{Key: fmt.Appendf(nil, "%s/%d", beatKey, epoch), Value: value}
}

func checkpointRecord(epoch int64, value []byte) wire.Record {
	if value == nil {
		value = []byte{} // none at all would delete it
	}
	return wire.Record{Key: fmt.Appendf(nil, "%s/%d", checkpointKey, epoch), Value: value}
}

// outdated are the records that delete what earlier epochs than one left behind.
func (s *shard) outdated(epoch int64) (all []wire.Record) {
	for key, of := range s.keys {
		if of < epoch && len(all) < mostOutdated {
			all = append(all, wire.Record{Key: []byte(key)})
		}
	}
	return all
}

// mostOutdated bounds what is deleted with one record: the rest goes with later ones.
const mostOutdated = 100
