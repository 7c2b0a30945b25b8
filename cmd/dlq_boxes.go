package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/file"
)

// onLetters opens the dead letters of a configuration and has something done with them.
func (p *program) onLetters(ctx context.Context, config string, do func(context.Context, *configs.Config, queue.LetterBox) error) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	cfg, _, err := p.load(config)
	if err != nil {
		return err
	}
	box, err := openBox(ctx, cfg, p.warnings())
	if err != nil {
		return atBroker(err, cfg.File)
	}
	defer func() { _ = box.Close() }() // what it did is durable already
	err = do(ctx, cfg, box)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !isCoded(err):
		return &coded{exitTryAgain, errors.New("interrupted")}
	}
	return atBroker(err, cfg.File)
}

// openBox is where the dead letters of a configuration are.
func openBox(ctx context.Context, cfg *configs.Config, log *zap.Logger) (queue.LetterBox, error) {
	switch {
	case cfg.DeadLetter.None:
		return nil, usage(fmt.Errorf("%s says dead_letter: none: nothing becomes a dead letter there, a strand stops instead (`flushline status` says which)", cfg.File))
	case cfg.DeadLetter.File != "":
		return file.NewBox(cfg.DeadLetter.File), nil
	}
	boxes, err := brokerOf(cfg).boxes(ctx, log)
	var missing *queue.MissingError
	switch {
	case errors.As(err, &missing):
		return &joinedBoxes{never: err}, nil
	case err != nil:
		return nil, err
	}
	return oneBox(boxes), nil
}

// joinedBoxes is one box made of those that a source with several consumers has.
type joinedBoxes struct {
	boxes []queue.LetterBox
	of    map[string]queue.LetterBox // by queue.Place.Part, as they were read
	never error                      // without boxes: that none was made yet
}

var _ queue.LetterBox = (*joinedBoxes)(nil)

// oneBox is the only box there is, or all as one.
func oneBox(boxes []queue.LetterBox) queue.LetterBox {
	if len(boxes) == 1 {
		return boxes[0]
	}
	return &joinedBoxes{boxes: boxes, of: map[string]queue.LetterBox{}}
}

func (b *joinedBoxes) Describe() string {
	if len(b.boxes) == 0 {
		return "no queue"
	}
	names := make([]string, len(b.boxes))
	for i, box := range b.boxes {
		names[i] = box.Describe()
	}
	return strings.Join(names, ", ")
}

// Letters implements queue.LetterBox: box after box. One that was never made holds
// nothing, unless none was.
func (b *joinedBoxes) Letters(ctx context.Context, visit func(*queue.Letter) error) error {
	never, missing := b.never, 0
	for _, box := range b.boxes {
		err := box.Letters(ctx, func(l *queue.Letter) error {
			b.of[l.Places[0].Part] = box
			return visit(l)
		})
		var gone *queue.MissingError
		switch {
		case errors.As(err, &gone):
			never = err
			missing++
		case err != nil:
			return err
		}
	}
	if missing < len(b.boxes) {
		return nil
	}
	return never
}

// Resolve implements queue.LetterBox, for letters that it showed.
func (b *joinedBoxes) Resolve(ctx context.Context, ls []*queue.Letter) error {
	of := map[queue.LetterBox][]*queue.Letter{}
	for _, l := range ls {
		box, known := b.of[l.Places[0].Part]
		if !known {
			return fmt.Errorf("couldn't resolve the letter %s: it is in none of %s", l.Name(), b.Describe())
		}
		of[box] = append(of[box], l)
	}
	var errs []error
	for _, box := range b.boxes {
		if some := of[box]; some != nil {
			errs = append(errs, box.Resolve(ctx, some))
		}
	}
	return errors.Join(errs...)
}

// Free implements queue.LetterBox.
func (b *joinedBoxes) Free(ctx context.Context) (string, error) {
	var texts []string
	var errs []error
	for _, box := range b.boxes {
		text, err := box.Free(ctx)
		if text != "" {
			texts = append(texts, text)
		}
		if missing := (*queue.MissingError)(nil); !errors.As(err, &missing) {
			errs = append(errs, err)
		}
	}
	return strings.Join(texts, "; "), errors.Join(errs...)
}

func (b *joinedBoxes) Close() error {
	var errs []error
	for _, box := range b.boxes {
		errs = append(errs, box.Close())
	}
	return errors.Join(errs...)
}
