// Package doccode holds the documents to the code. A Go block of a document is a
// quotation: its first line names a file of this repository,
//
//	// flushers/flusher.go
//
// and the rest stands in that file, which is compiled, linted and tested where it
// lies: in the repository's module, or in that of an example. A quotation may leave
// out comments and empty lines, and with a line "// ..." any lines between two
// pieces; it may not add or change any. A YAML block is held to the same if its first
// line is "# path/of/file.yaml"; a name without a directory is what the reader calls
// the file.
package doccode

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// Block is one fenced block of a document.
type Block struct {
	Line     int    // of the fence in the document
	Language string // go, yaml, as written behind the fence
	Lines    []string
}

// Blocks finds the fenced blocks of a Markdown document.
func Blocks(text string) ([]Block, error) {
	var out []Block
	var fence string
	for i, line := range strings.Split(text, "\n") {
		bare := strings.TrimSpace(line)
		mark := fenceMark(bare)
		switch {
		case fence == "" && mark != "":
			fence = mark
			language, _, _ := strings.Cut(strings.TrimSpace(bare[len(mark):]), " ")
			out = append(out, Block{Line: i + 1, Language: strings.ToLower(language)})
		case fence != "" && len(mark) >= len(fence) && mark[0] == fence[0] && bare == mark:
			fence = ""
		case fence != "":
			b := &out[len(out)-1]
			b.Lines = append(b.Lines, line)
		}
	}
	if fence != "" {
		return nil, fmt.Errorf("the block that begins in line %d does not end", out[len(out)-1].Line)
	}
	return out, nil
}

// fenceMark is the run of backticks or tildes that a fence begins with.
func fenceMark(line string) string {
	for _, c := range []string{"`", "~"} {
		if rest := strings.TrimLeft(line, c); len(line)-len(rest) >= 3 {
			return line[:len(line)-len(rest)]
		}
	}
	return ""
}

var marker = regexp.MustCompile(`^(?://|#) ([\w./-]+\.(go|ya?ml))$`)

// Quoted is the file that the block quotes, relative to the repository's root;
// empty if a block of this language need not quote one. It is an error for a Go
// block to name no file, or one that `go vet ./...` of its module does not see.
func (b *Block) Quoted() (string, error) {
	golang := b.Language == "go" || b.Language == "golang"
	if !golang && b.Language != "yaml" {
		return "", nil
	}
	first := ""
	if len(b.Lines) > 0 {
		first = strings.TrimSpace(b.Lines[0])
	}
	m := marker.FindStringSubmatch(first)
	switch {
	case m == nil && golang:
		return "", fmt.Errorf("line %d: the Go block names no file; begin it with the file it quotes, like // flushers/flusher.go", b.Line)
	case m == nil, !golang && !strings.Contains(m[1], "/"):
		return "", nil
	case golang != (m[2] == "go"):
		return "", fmt.Errorf("line %d: a block of %s cannot quote %s", b.Line, b.Language, m[1])
	case path.Clean(m[1]) != m[1] || strings.HasPrefix(m[1], "..") || strings.Contains("/"+m[1], "/testdata/") && golang:
		return "", fmt.Errorf("line %d: nothing compiles %s", b.Line, m[1])
	}
	return m[1], nil
}

// Check compares the block with the text of the file it quotes.
func (b *Block) Check(file string) error {
	source := normal(strings.Split(file, "\n"))
	at := 0
	for _, piece := range pieces(b.Lines[1:]) {
		end, missing := find(source[at:], piece)
		if missing != "" {
			return fmt.Errorf("line %d: the block quotes what does not stand there (any more): %s", b.Line, missing)
		}
		at += end
	}
	return nil
}

// pieces are what stands between the lines "// ...".
func pieces(lines []string) [][]string {
	var out [][]string
	var piece []string
	for _, line := range normal(lines) {
		if line == "// ..." || line == "# ..." {
			out, piece = append(out, piece), nil
			continue
		}
		piece = append(piece, line)
	}
	return append(out, piece)
}

// normal drops empty lines, and what gofmt and indentation change.
func normal(lines []string) []string {
	var out []string
	for _, line := range lines {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// find looks for the first place where the piece stands, and says where that ends,
// or which line of the piece is missing where most of it stands.
func find(source, piece []string) (end int, missing string) {
	best := -1
	for start := range len(source) + 1 {
		length, matched := match(source[start:], piece)
		if matched == len(piece) {
			return start + length, ""
		}
		if matched > best {
			best, missing = matched, piece[matched]
		}
	}
	return 0, missing
}

// match counts the lines of the piece that stand at the beginning of the source,
// and the lines of the source which that takes. Comments may be left out.
func match(source, piece []string) (length, matched int) {
	for length < len(source) && matched < len(piece) {
		switch line := source[length]; {
		case line == piece[matched]:
			matched++
		case matched == 0, !strings.HasPrefix(line, "//") && !strings.HasPrefix(line, "#"):
			return length, matched
		}
		length++
	}
	return length, matched
}
