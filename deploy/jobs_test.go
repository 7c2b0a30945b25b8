package deploy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// retried is the fate of a pod that no rule speaks of: it counts against the limit,
// and another is started.
const retried = ""

// fate is what podFailurePolicy makes of an exit code.
func (s *JobSpec) fate(code int) string {
	for _, r := range s.PodFailurePolicy.Rules {
		if r.OnExitCodes != nil && slices.Contains(r.OnExitCodes.Values, code) == (r.OnExitCodes.Operator == "In") {
			return r.Action
		}
	}
	return retried
}

// Who made a mistake in the configuration is told at once, and so is who will not
// get all of the range; what another start may mend is started again.
func TestJobsFailForWhatAnotherStartCannotMend(t *testing.T) {
	t.Parallel()
	codes := exitCodes(t)
	for _, w := range jobs(t) {
		incomplete := "FailJob"
		if w.CompletionMode == "Indexed" {
			incomplete = "FailIndex" // the other shards are finished first
		}
		for name, want := range map[string]string{
			"exitUsage": "FailJob", "exitIncomplete": incomplete,
			"exitUnavailable": retried, "exitTryAgain": retried, "exitDefect": retried,
			"exitInterrupted": retried, "exitFailed": retried,
		} {
			code, known := codes[name]
			if !known {
				t.Fatalf("the program has no %s", name)
			}
			if got := w.fate(code); got != want {
				t.Errorf("%s: the fate of %d (%s) is %q, want %q", w.id, code, name, got, want)
			}
		}
		if !slices.ContainsFunc(w.PodFailurePolicy.Rules, func(r rule) bool {
			return r.Action == "Ignore" && len(r.OnPodConditions) == 1 &&
				r.OnPodConditions[0].Type == "DisruptionTarget" && r.OnPodConditions[0].Status == "True"
		}) {
			t.Errorf("%s: a drained node counts as a failure", w.id)
		}
	}
}

// exitCodes are those that cmd names.
func exitCodes(t *testing.T) map[string]int {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../cmd/exit.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]int{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, is := n.(*ast.ValueSpec)
		if !is || len(spec.Values) != 1 {
			return true
		}
		if value, is := spec.Values[0].(*ast.BasicLit); is && value.Kind == token.INT {
			code, err := strconv.Atoi(value.Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[spec.Names[0].Name] = code
		}
		return true
	})
	return codes
}

// What the API server would refuse, beyond fields and their types: its validation of
// a JobSpec, as far as these manifests come near to it.
func TestKubernetesTakesTheJobs(t *testing.T) {
	t.Parallel()
	for _, w := range jobs(t) {
		indexed := w.CompletionMode == "Indexed"
		switch {
		case w.Template.Spec.RestartPolicy != "Never":
			t.Errorf("%s: restartPolicy is %q; podFailurePolicy needs Never", w.id, w.Template.Spec.RestartPolicy)
		case indexed && (w.Completions < 1 || w.BackoffLimitPerIndex == nil || w.BackoffLimit != nil):
			t.Errorf("%s is indexed: it needs completions, and each shard its own limit", w.id)
		case !indexed && (w.CompletionMode != "" || w.BackoffLimitPerIndex != nil || w.BackoffLimit == nil):
			t.Errorf("%s is not indexed: backoffLimit is its limit, and backoffLimitPerIndex is refused", w.id)
		}
		for i, r := range w.PodFailurePolicy.Rules {
			switch on := r.OnExitCodes; {
			case (on == nil) == (len(r.OnPodConditions) == 0):
				t.Errorf("%s: rule %d needs exit codes or conditions, one of them", w.id, i)
			case r.Action == "FailIndex" && w.BackoffLimitPerIndex == nil:
				t.Errorf("%s: rule %d: FailIndex needs backoffLimitPerIndex", w.id, i)
			case !slices.Contains([]string{"FailJob", "FailIndex", "Ignore", "Count"}, r.Action):
				t.Errorf("%s: rule %d has the action %q", w.id, i, r.Action)
			case on == nil:
			case on.ContainerName != w.program.Name:
				t.Errorf("%s: rule %d is for container %q, the pod has %q", w.id, i, on.ContainerName, w.program.Name)
			case on.Operator != "In" || !slices.IsSorted(on.Values) || slices.Contains(on.Values, 0):
				t.Errorf("%s: rule %d: %s %v; codes are named, sorted and not 0", w.id, i, on.Operator, on.Values)
			}
		}
	}
}

// Every shard has a pod, every pod a shard.
func TestShardsAndPodsAreAsMany(t *testing.T) {
	t.Parallel()
	for _, w := range jobs(t) {
		of := w.program.flag("of")
		if w.CompletionMode != "Indexed" {
			if of != "" {
				t.Errorf("%s: one pod has --of=%s", w.id, of)
			}
			continue
		}
		if of != strconv.Itoa(w.Completions) || w.Parallelism < 1 || w.Parallelism > w.Completions {
			t.Errorf("%s: --of=%s, %d completions, %d at a time", w.id, of, w.Completions, w.Parallelism)
		}
		if w.program.flag("index") != "" {
			t.Errorf("%s: --index takes the place of JOB_COMPLETION_INDEX", w.id)
		}
	}
}

// A night's job has a name that its pods share and the next night's do not.
func TestEachNightIsAJobOfItsOwn(t *testing.T) {
	t.Parallel()
	night := one(t, "CronJob/flushline-export")
	c := night.Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	if len(c.Env) != 1 || c.flag("job") != "$("+c.Env[0].Name+")" ||
		c.Env[0].From.Field.Path != "metadata.labels['batch.kubernetes.io/job-name']" {
		t.Errorf("the job is %q of %+v, want the name of the Job", c.flag("job"), c.Env)
	}
	if name := night.Meta.Name + "-29384650"; len(name) > 48 { // the minute, as the CronJob appends it
		t.Errorf("%s is longer than a job's name may be", name)
	}
	switch s := night.Spec; {
	case s.ConcurrencyPolicy != "Forbid":
		t.Errorf("two nights may run at a time: %q", s.ConcurrencyPolicy)
	case c.flag("from") != "yesterday" || c.flag("to") != "today":
		t.Errorf("the range is %s to %s: nights that begin late leave gaps or overlap", c.flag("from"), c.flag("to"))
	case s.TimeZone != "Etc/UTC" || !regexp.MustCompile(`^\d+ 0 \* \* \*$`).MatchString(s.Schedule):
		t.Errorf("it runs at %q in %q, yesterday and today are days in UTC", s.Schedule, s.TimeZone)
	}
}
