package cmd

import (
	"bufio"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// columns is a table that may be longer than memory: the widths are those of its first
// rows, later ones are as wide as they have to be. The last column has what is left of
// the line of a terminal.
type columns struct {
	out    *bufio.Writer
	line   int // 0: as long as it gets
	first  [][]string
	widths []int // nil: first is still collected
}

const (
	columnsFirst = 200
	columnsGap   = 2
)

func newColumns(w io.Writer) *columns {
	return &columns{out: bufio.NewWriter(w), line: lineOf(w)}
}

// lineOf is how many characters a line of a terminal has; 0: it is none.
func lineOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

func (c *columns) row(cells ...string) error {
	if c.widths != nil {
		return c.print(cells)
	}
	if c.first = append(c.first, cells); len(c.first) < columnsFirst {
		return nil
	}
	return c.settle()
}

// settle prints the first rows.
func (c *columns) settle() error {
	if c.widths != nil || len(c.first) == 0 {
		return nil
	}
	c.widths = make([]int, len(c.first[0]))
	for _, row := range c.first {
		for i, cell := range row {
			c.widths[i] = max(c.widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range c.first {
		if err := c.print(row); err != nil {
			return err
		}
	}
	c.first = nil
	return c.out.Flush()
}

func (c *columns) print(cells []string) error {
	var b strings.Builder
	used := 0
	for i, cell := range cells {
		if i == len(cells)-1 {
			b.WriteString(cut(cell, c.line-used, c.line > 0))
			break
		}
		n := max(c.widths[i]-utf8.RuneCountInString(cell), 0) + columnsGap
		b.WriteString(cell)
		b.WriteString(strings.Repeat(" ", n))
		used += utf8.RuneCountInString(cell) + n
	}
	_, err := c.out.WriteString(strings.TrimRight(b.String(), " ") + "\n")
	return err
}

// cut is what of a text has room, with a sign that it goes on. The least room is for a
// word.
func cut(s string, room int, bounded bool) string {
	const least = 20
	room = max(room, least)
	if !bounded || utf8.RuneCountInString(s) <= room {
		return s
	}
	return string([]rune(s)[:room-1]) + "…"
}

// end prints what is left, and lines below the table.
func (c *columns) end(lines ...string) error {
	if err := c.settle(); err != nil {
		return err
	}
	for _, line := range lines {
		if _, err := c.out.WriteString(line + "\n"); err != nil {
			return err
		}
	}
	return c.out.Flush()
}
