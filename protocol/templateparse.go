package protocol

import (
	"fmt"
	"strings"
)

// CompileTemplate reads a template; see Template. Errors name the character
// (counted from 1), what is wrong and what to write instead.
func CompileTemplate(text string) (*Template, error) {
	p := templateParser{text: text}
	for p.at < len(text) {
		if err := p.step(); err != nil {
			return nil, fmt.Errorf("template %q, character %d: %w", text, len([]rune(text[:p.at]))+1, err)
		}
	}
	p.endText()
	return &Template{text: text, parts: p.parts}, nil
}

type templateParser struct {
	text    string
	at      int
	literal []byte // text since the last placeholder
	parts   []part
}

// step reads one placeholder, escape or character.
func (p *templateParser) step() error {
	rest := p.text[p.at:]
	switch {
	case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
		p.literal = append(p.literal, rest[0])
		p.at += 2
	case rest[0] == '{':
		return p.placeholder(1, parseOwn)
	case strings.HasPrefix(rest, `\%{`):
		return fmt.Errorf("\\ takes no meaning away here: write %%{{ for the text %%{")
	case strings.HasPrefix(rest, "%{"):
		return p.placeholder(2, parseForeign)
	case rest[0] == '}':
		return fmt.Errorf("a } without {: write }} for a brace")
	default:
		p.literal = append(p.literal, rest[0])
		p.at++
	}
	return nil
}

func (p *templateParser) placeholder(skip int, parse func(string) ([]part, error)) error {
	rest := p.text[p.at+skip:]
	end := strings.IndexAny(rest, "{}")
	if end < 0 || rest[end] == '{' {
		return fmt.Errorf("a { that is never closed: close it with }, or write {{ for a brace")
	}
	found, err := parse(rest[:end])
	if err != nil {
		return err
	}
	p.endText()
	p.parts = append(p.parts, found...)
	p.at += skip + end + 1
	return nil
}

func (p *templateParser) endText() {
	if len(p.literal) > 0 {
		p.parts = append(p.parts, part{kind: partText, arg: string(p.literal)})
		p.literal = nil
	}
}

func parseOwn(inner string) ([]part, error) {
	found, err := parsePlaceholder(inner)
	return []part{found}, err
}

func parsePlaceholder(inner string) (part, error) {
	for kind := partProject; kind <= partHost; kind++ {
		if inner == partNames[kind] {
			return part{kind: kind}, nil
		}
	}
	name, arg, dotted := strings.Cut(inner, ".")
	if dotted && (name == "tag" || name == "content") {
		if arg == "" {
			return part{}, fmt.Errorf("{%s} names no %s: write {%s.NAME}", inner, name, name)
		}
		if name == "tag" {
			return part{kind: partTag, arg: arg}, nil
		}
		return part{kind: partContent, arg: arg}, nil
	}
	if layout, ok := strings.CutPrefix(inner, "date:"); ok {
		if err := checkLayout(layout); err != nil {
			return part{}, err
		}
		return part{kind: partDate, arg: layout}, nil
	}
	return part{}, unknownPlaceholder(inner)
}

// parseForeign reads iLogtail's spelling, %{inner}.
func parseForeign(inner string) ([]part, error) {
	if joda, ok := strings.CutPrefix(inner, "+"); ok {
		return parseJoda(joda)
	}
	if strings.Contains(inner, ":") {
		return nil, fmt.Errorf("%%{%s} has an operator, which is not supported: write {%s}",
			inner, inner[:strings.IndexByte(inner, ':')])
	}
	if strings.HasPrefix(inner, "content.") || strings.HasPrefix(inner, "tag.") {
		return parseOwn(inner)
	}
	return nil, fmt.Errorf("%%{%s} is not known: only content.NAME, tag.NAME and +LAYOUT may stand in %%{ }; others are written {NAME}", inner)
}

// guesses are what people write, by what they mean.
var guesses = map[string]string{
	"proj": "{project}", "store": "{logstore}", "log_store": "{logstore}", "category": "{logstore}",
	"configname": "{config}", "config_name": "{config}", "hostname": "{host}", "node": "{host}", "pod": "{host}",
	"date": "{date:2006-01-02}", "day": "{date:2006-01-02}", "time": "{date:15-04-05}", "timestamp": "{date:20060102T150405}",
	"hour": "{date:15}", "year": "{date:2006}", "month": "{date:2006-01}",
}

func unknownPlaceholder(inner string) error {
	name := strings.ToLower(strings.TrimSpace(inner))
	if layout, ok := strings.CutPrefix(inner, "time:"); ok {
		layout, _ = goLayout(layout)
		return fmt.Errorf("{%s} is not known: write {date:%s}", inner, layout)
	}
	base, arg, dotted := strings.Cut(inner, ".")
	switch base {
	case "tags", "label", "labels":
		base = "tag"
	case "contents", "field", "fields":
		base = "content"
	default:
		dotted = false
	}
	if dotted {
		return fmt.Errorf("{%s} is not known: write {%s.%s}", inner, base, arg)
	}
	if guess := nearest(name); guess != "" {
		return fmt.Errorf("{%s} is not known: write %s", inner, guess)
	}
	return fmt.Errorf("{%s} is not known: use project, logstore, config, host, date:LAYOUT, tag.NAME or content.NAME, "+
		"or {content.%s} for a content of that name", inner, inner)
}

// nearest is the placeholder that name most likely means, or "".
func nearest(name string) string {
	if guess, ok := guesses[name]; ok {
		return guess
	}
	for kind := partProject; kind <= partHost; kind++ {
		if oneEdit(name, partNames[kind]) {
			return "{" + partNames[kind] + "}"
		}
	}
	return ""
}

// oneEdit says whether a and b differ by at most one letter added, left out,
// changed, or swapped with its neighbour.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	if i == len(a) || a[i+1:] == b[i+1:] {
		return true
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}
