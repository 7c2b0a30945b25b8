package letterbox_test

import (
	"testing"
)

// A done topic that would forget is refused with the command that mends it.
func TestADoneTopicThatForgetsIsRefused(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a")
	if err := r.fake.CreateTopic(done, 1, map[string]string{"cleanup.policy": "delete"}); err != nil {
		t.Fatal(err)
	}
	_, err := r.tryRead(r.box())
	mustContain(t, err, done, "cleanup.policy", "would be deleted by their age",
		"kafka-configs.sh --bootstrap-server "+r.cfg.Brokers[0]+" --alter --entity-type topics --entity-name "+done+" --add-config cleanup.policy=compact")
	err = r.box().Resolve(r.Context(), nil)
	if err != nil {
		t.Error(err)
	}
}
