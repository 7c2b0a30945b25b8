// Package deploy_test holds the manifests to what they must agree on with the
// program: flags, exit codes, probes, ports, users, and a grace period that outlasts
// the drain. Whether Kubernetes knows their fields is for `make manifests` to say.
package deploy_test

import (
	"path"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/option"
)

// The defaults of docs/DESIGN.md that the manifests rely on.
const (
	drain        = 25 * time.Second
	flushTimeout = 20 * time.Second
	graceFloor   = drain + flushTimeout + 5*time.Second
	memoryFloor  = (256 + 64 + 64) << 20 // in_flight + work + what the process needs beside them
	filesFloor   = 16 * 32 << 20         // --parallel files at a time, each with the largest window of zstd
	probePort    = 8481
	user         = "65532"
)

func TestPodsOutlastTheirDrain(t *testing.T) {
	t.Parallel()
	for _, w := range workloads(t) {
		if grace := time.Duration(w.Template.Spec.Grace) * time.Second; grace <= graceFloor {
			t.Errorf("%s: terminationGracePeriodSeconds is %s, must be above %s", w.id, grace, graceFloor)
		}
	}
}

func TestProbesAskTheMetricsListener(t *testing.T) {
	t.Parallel()
	c := one(t, "Deployment/flushline").Spec.Template.Spec.Containers[0]
	if len(c.Ports) != 1 || c.Ports[0].ContainerPort != probePort {
		t.Fatalf("ports are %+v, want %d alone", c.Ports, probePort)
	}
	for _, p := range []struct {
		name, path string
		probe
	}{
		{"startup", "/healthz", c.StartupProbe},
		{"liveness", "/healthz", c.LivenessProbe},
		{"readiness", "/readyz", c.ReadinessProbe},
	} {
		if p.HTTPGet.Path != p.path || p.HTTPGet.Port != c.Ports[0].Name {
			t.Errorf("the %s probe asks %+v, want %s at port %s", p.name, p.HTTPGet, p.path, c.Ports[0].Name)
		}
	}
}

func TestPodsHaveNoPrivileges(t *testing.T) {
	t.Parallel()
	for _, w := range workloads(t) {
		pod, c := w.Template.Spec, w.program.SecurityContext
		switch {
		case pod.MountToken == nil || *pod.MountToken:
			t.Errorf("%s: a service account token is mounted", w.id)
		case !pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.RunAsUser != user:
			t.Errorf("%s: the user is %+v, want %s", w.id, pod.SecurityContext, user)
		case !c.ReadOnlyRootFilesystem:
			t.Errorf("%s: the root file system is writable", w.id)
		case c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation:
			t.Errorf("%s: privileges may be escalated", w.id)
		case len(c.Capabilities.Drop) != 1 || c.Capabilities.Drop[0] != "ALL":
			t.Errorf("%s: dropped capabilities are %v, want ALL", w.id, c.Capabilities.Drop)
		}
	}
}

func TestThePodsMemoryHoldsTheBudget(t *testing.T) {
	t.Parallel()
	for _, w := range workloads(t) {
		var limit option.Bytes
		if err := limit.UnmarshalText([]byte(w.program.Resources.Limits.Memory + "B")); err != nil {
			t.Fatalf("%s: %v", w.id, err)
		}
		floor := option.Bytes(memoryFloor)
		if w.program.Args[0] == "backfill" {
			floor += filesFloor
		}
		if limit <= floor {
			t.Errorf("%s: the memory limit is %s, must be above %s", w.id, limit, floor)
		}
	}
}

// config is the configuration file that a workload's program reads, and where it
// lies.
func config(t *testing.T, w *workload) (file, content string) {
	t.Helper()
	file = w.program.flag("config")
	if file == "" { // run -c FILE
		file = w.program.Args[len(w.program.Args)-1]
	}
	v := mounted(w, file)
	return file, one(t, "ConfigMap/"+v.ConfigMap.Name).Data[path.Base(file)]
}

// mounted is the volume that a path lies in; without a name: none.
func mounted(w *workload, file string) volume {
	for _, m := range w.program.VolumeMounts {
		if file != m.Path && !strings.HasPrefix(file, m.Path+"/") {
			continue
		}
		for _, v := range w.Template.Spec.Volumes {
			if v.Name == m.Name {
				return v
			}
		}
	}
	return volume{}
}

func TestConfigurationsAreMountedWhereTheyAreRead(t *testing.T) {
	t.Parallel()
	for _, w := range workloads(t) {
		if file, content := config(t, &w); content == "" {
			t.Errorf("%s: %s reads %s, which no mount of a ConfigMap holds", w.id, w.program.Args[0], file)
		}
	}
}

// Each volume is made by a manifest or with the pod, and mounted.
func TestVolumesAreThereAndMounted(t *testing.T) {
	t.Parallel()
	all := objects(t)
	for _, w := range workloads(t) {
		unmounted := map[string]bool{}
		for _, v := range w.Template.Spec.Volumes {
			unmounted[v.Name] = true
			if v.EmptyDir == nil && all["ConfigMap/"+v.ConfigMap.Name] == nil && all["PersistentVolumeClaim/"+v.Claim.Name] == nil {
				t.Errorf("%s: the volume %s is of nothing that is shipped", w.id, v.Name)
			}
		}
		for _, m := range w.program.VolumeMounts {
			if mounted(&w, m.Path).Name != m.Name {
				t.Errorf("%s: %s mounts %s, which is no volume", w.id, m.Path, m.Name)
			}
			delete(unmounted, m.Name)
		}
		for name := range unmounted {
			t.Errorf("%s: the volume %s is not mounted", w.id, name)
		}
	}
}

func (s *selector) selects(pods labels) bool {
	for k, v := range s.MatchLabels {
		if pods[k] != v {
			return false
		}
	}
	return true
}

// Pods of jobs must not count as workers, whose disruption budget and spread would be
// wrong by them.
func TestSelectorsFindTheWorkersAlone(t *testing.T) {
	t.Parallel()
	deployment, budget := one(t, "Deployment/flushline"), one(t, "PodDisruptionBudget/flushline")
	for _, o := range []*object{deployment, budget} {
		if len(o.Spec.Selector.MatchLabels) == 0 {
			t.Errorf("%s selects nothing", o.Kind)
		}
		for _, w := range workloads(t) {
			if got, want := o.Spec.Selector.selects(w.Template.Metadata.Labels), w.id == "Deployment/flushline"; got != want {
				t.Errorf("%s selects pods of %s: %v", o.Kind, w.id, got)
			}
		}
	}
	if d := deployment.Spec.Replicas; d <= budget.Spec.MaxUnavailable {
		t.Errorf("%d replicas may all be disrupted at once", d)
	}
}
