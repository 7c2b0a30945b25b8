package configs

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"

	"github.com/flushline/flushline/option"
)

// digest stands for the options of an entry beside the engine's own, as they were
// resolved: values of ${env:} and ${file:} are in it, secrets too, so it is never
// shown. Another order of keys is no change; another way to write a value is.
func digest(n *option.Node) string {
	own := &option.Node{Kind: option.Map}
	engine := map[string]bool{}
	for _, f := range option.Fields(defaultEntry()) {
		if p := n.Get(f.Name); p != nil {
			engine[p.Key] = true
		}
	}
	for _, p := range n.Pairs {
		if !engine[p.Key] {
			own.Pairs = append(own.Pairs, p)
		}
	}
	h := sha256.New()
	hashNode(h, own)
	return hex.EncodeToString(h.Sum(nil))
}

func hashNode(h hash.Hash, n *option.Node) {
	number := func(i int) { h.Write(binary.BigEndian.AppendUint64(nil, uint64(i))) }
	text := func(s string) {
		number(len(s))
		h.Write([]byte(s))
	}
	number(int(n.Kind))
	text(n.Text)
	number(len(n.Items))
	for _, item := range n.Items {
		hashNode(h, item)
	}
	pairs := slices.Clone(n.Pairs)
	slices.SortFunc(pairs, func(a, b option.Pair) int { return cmp.Compare(a.Key, b.Key) })
	number(len(pairs))
	for _, p := range pairs {
		text(p.Key)
		hashNode(h, p.Value)
	}
}
