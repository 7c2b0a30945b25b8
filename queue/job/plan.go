package job

import (
	"encoding/json"
	"fmt"
	"iter"
	"time"
)

// Plan is what a range or a list of paths came to.
type Plan struct {
	Kind   string // of the input: kafka, nats, file
	Range  string // in words: "from -2h to end"
	Slices Slices

	// Lost is what was asked for and is not there any more. It makes the job
	// incomplete.
	Lost []Lost
}

// Lost is a run of positions that retention took before the job was planned.
type Lost struct {
	Slice string `json:"slice"`
	From  int64  `json:"from"`  // the first position that was asked for; -1: not known
	To    int64  `json:"to"`    // the first that is there
	Count int64  `json:"count"` // positions; -1: not known
	Why   string `json:"why"`
}

// Manifest is what all shards of a job share. Its slices are in the pieces beside
// it.
type Manifest struct {
	Version int         `json:"version"`
	Job     string      `json:"job"`
	Created time.Time   `json:"created"`
	Kind    string      `json:"kind"`
	Range   string      `json:"range"`
	Asked   string      `json:"asked"` // what a later start has to ask for as well
	Pieces  int         `json:"pieces"`
	Shards  []ShardSize `json:"shards"`
	Lost    []Lost      `json:"lost,omitempty"`
}

// ShardSize is how much a shard has to do.
type ShardSize struct {
	Slices    int64 `json:"slices"`
	Positions int64 `json:"positions,omitempty"` // of slices that have a To
	Bytes     int64 `json:"bytes,omitempty"`     // of files, as stored
}

func (z *ShardSize) add(s *Slice) {
	z.Slices++
	z.Bytes += s.Size
	if s.To >= 0 {
		z.Positions += s.To - s.From
	}
}

const ManifestVersion = 1

// ParseManifest reads what a State keeps as its manifest.
func ParseManifest(value []byte) (*Manifest, error) {
	m := new(Manifest)
	if err := json.Unmarshal(value, m); err != nil {
		return nil, fmt.Errorf("couldn't read the job's manifest: %w", err)
	}
	if m.Version != ManifestVersion {
		return nil, fmt.Errorf("couldn't read the job's manifest: it has version %d, this flushline knows %d", m.Version, ManifestVersion)
	}
	return m, nil
}

// Slices is a sequence of slices; it ends with its first error.
type Slices = iter.Seq2[Slice, error]
