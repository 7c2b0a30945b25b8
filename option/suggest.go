package option

import (
	"slices"
	"strings"
)

// Suggest finds what was probably meant: the candidate with the smallest
// Damerau-Levenshtein distance, if it is near enough, or the only one that begins
// with what was written. It returns "" if nothing is near.
func Suggest(written string, candidates []string) string {
	w := fold(written)
	if len(w) > maxNameLen {
		return ""
	}
	best, bestDist := "", 1+max(1, len(w)/3)
	for _, c := range candidates {
		if d := distance(w, fold(c)); d < bestDist {
			best, bestDist = c, d
		}
	}
	if best != "" || len(w) < 3 {
		return best
	}
	for _, c := range candidates {
		if strings.HasPrefix(fold(c), w) || strings.HasSuffix(fold(c), w) {
			if best != "" {
				return ""
			}
			best = c
		}
	}
	return best
}

// distance counts insertions, deletions, substitutions and swaps of neighbours.
func distance(a, b string) int {
	var older []int
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur := make([]int, len(b)+1)
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], older[j-2]+1)
			}
		}
		older, prev = prev, cur
	}
	return prev[len(b)]
}

// maxNameLen bounds the work spent on what is no name at all.
const maxNameLen = 64

// didYouMean is the hint for an unknown name.
func didYouMean(written string, candidates []string) string {
	if s := Suggest(written, candidates); s != "" {
		return "did you mean " + quote(s) + "?"
	}
	sorted := slices.Clone(candidates)
	slices.Sort(sorted)
	if len(sorted) == 0 || len(sorted) > 16 {
		return ""
	}
	return "the keys are " + strings.Join(sorted, ", ")
}
