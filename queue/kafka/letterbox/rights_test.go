package letterbox_test

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue"
)

// secured is a broker with letters, whose user "limited" may these things.
func secured(t *testing.T, rights ...kfake.ACL) *rig {
	t.Helper()
	r := fake(t, 1, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "p"), kfake.User("PLAIN", "limited", "p", rights...))
	r.cfg.AllowPlainWithoutTLS = true
	r.cfg.SASL.Mechanism = "plain"
	if err := r.cfg.SASL.Password.UnmarshalText([]byte("p")); err != nil {
		t.Fatal(err)
	}
	r.as("root")
	r.put("a", "b")
	return r
}

func (r *rig) as(user string) { r.cfg.SASL.User = user }

func may(topic string, operations ...kmsg.ACLOperation) (all []kfake.ACL) {
	for _, op := range operations {
		all = append(all, kfake.ACL{
			Resource: kmsg.ACLResourceTypeTopic, Name: topic, Operation: op, Allow: true, Pattern: kmsg.ACLResourcePatternTypeLiteral,
		})
	}
	return all
}

func TestWithoutTheRightTheErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	const read, describe, write = kmsg.ACLOperationRead, kmsg.ACLOperationDescribe, kmsg.ACLOperationWrite
	list := func(ctx context.Context, b queue.LetterBox) error {
		return b.Letters(ctx, func(*queue.Letter) error { return nil })
	}
	first := func(ctx context.Context, b queue.LetterBox) error {
		return b.Letters(ctx, func(l *queue.Letter) error { return b.Resolve(ctx, []*queue.Letter{l}) })
	}
	free := func(ctx context.Context, b queue.LetterBox) error {
		_, err := b.Free(ctx)
		return err
	}
	reads := append(may(letters, read), may(done, read)...)
	tests := []struct {
		name   string
		rights []kfake.ACL
		made   bool // the done topic
		do     func(context.Context, queue.LetterBox) error
		wants  []string // nil: it succeeds
	}{
		{"to see letters", nil, true, list, []string{letters, "--operation Describe --operation Read --topic " + letters}},
		{"to read letters", append(may(letters, describe), may(done, read)...), true, list, []string{letters + "[0]", "--operation Describe --operation Read --topic " + letters}},
		{"to see marks", may(letters, read), true, list, []string{done, "--operation Describe --operation Read --topic " + done}},
		{"to read marks", append(may(letters, read), may(done, describe)...), true, list, []string{done + "[0]", "--operation Describe --operation Read --topic " + done}},
		{"reading needs no more", reads, true, list, nil},
		{"to make the done topic", reads, false, first, []string{done, "--operation Create", "--operation Write", "flushline setup -c FILE", "flushline dlq ls, show, export"}},
		{"to write marks", reads, true, first, []string{done, "--operation Create", "--operation Write", "flushline setup -c FILE"}},
		{"to delete letters", append(reads, may(done, write)...), true, free, []string{letters + "[0]", "--operation Delete --topic " + letters}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := secured(t, tt.rights...)
			if tt.made {
				r.resolve("a")
			}
			r.as("limited")
			err := tt.do(r.Context(), r.box())
			switch {
			case tt.wants == nil && err != nil:
				t.Error(err)
			case tt.wants != nil && err == nil:
				t.Error("it succeeded")
			case err != nil:
				mustContain(t, err, append(tt.wants, "User:limited")...)
			}
		})
	}
}
