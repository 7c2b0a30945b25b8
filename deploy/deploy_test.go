// Package deploy_test holds the manifests to what they must agree on with the
// program: probes, ports, users, and a grace period that outlasts the drain.
package deploy_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/test/kafkabroker"
)

// The defaults of docs/DESIGN.md that the manifests rely on.
const (
	drain        = 25 * time.Second
	flushTimeout = 20 * time.Second
	graceFloor   = drain + flushTimeout + 5*time.Second
	memoryFloor  = (256 + 64 + 64) << 20 // in_flight + work + what the process needs beside them
	probePort    = 8481
	user         = "65532"
)

type probe struct {
	HTTPGet struct {
		Path string `yaml:"path"`
		Port string `yaml:"port"`
	} `yaml:"httpGet"`
}

type container struct {
	Args  []string `yaml:"args"`
	Ports []struct {
		Name          string `yaml:"name"`
		ContainerPort int    `yaml:"containerPort"`
	} `yaml:"ports"`
	StartupProbe    probe `yaml:"startupProbe"`
	LivenessProbe   probe `yaml:"livenessProbe"`
	ReadinessProbe  probe `yaml:"readinessProbe"`
	SecurityContext struct {
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		Capabilities             struct {
			Drop []string `yaml:"drop"`
		} `yaml:"capabilities"`
	} `yaml:"securityContext"`
	Resources struct {
		Limits struct {
			Memory string `yaml:"memory"`
		} `yaml:"limits"`
	} `yaml:"resources"`
	VolumeMounts []struct {
		Name      string `yaml:"name"`
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type labels map[string]string

type selector struct {
	MatchLabels labels `yaml:"matchLabels"`
}

// object is what the tests read of any of the three kinds.
type object struct {
	Kind string            `yaml:"kind"`
	Data map[string]string `yaml:"data"`
	Meta struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec struct {
		Replicas       int      `yaml:"replicas"`
		MaxUnavailable int      `yaml:"maxUnavailable"`
		Selector       selector `yaml:"selector"`
		Template       struct {
			Metadata struct {
				Labels labels `yaml:"labels"`
			} `yaml:"metadata"`
			Spec struct {
				Grace           int   `yaml:"terminationGracePeriodSeconds"`
				MountToken      *bool `yaml:"automountServiceAccountToken"`
				SecurityContext struct {
					RunAsNonRoot bool   `yaml:"runAsNonRoot"`
					RunAsUser    string `yaml:"runAsUser"`
				} `yaml:"securityContext"`
				Containers []container `yaml:"containers"`
				Volumes    []struct {
					Name      string `yaml:"name"`
					ConfigMap struct {
						Name string `yaml:"name"`
					} `yaml:"configMap"`
				} `yaml:"volumes"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

func objects(t *testing.T) map[string]*object {
	t.Helper()
	raw, err := os.ReadFile("kubernetes/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]*object)
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var o object
		err := dec.Decode(&o)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		found[o.Kind] = &o
	}
	for _, kind := range []string{"ConfigMap", "Deployment", "PodDisruptionBudget"} {
		if found[kind] == nil {
			t.Fatalf("no %s in deployment.yaml", kind)
		}
	}
	return found
}

func TestThePodOutlastsItsDrain(t *testing.T) {
	t.Parallel()
	grace := time.Duration(objects(t)["Deployment"].Spec.Template.Spec.Grace) * time.Second
	if grace <= graceFloor {
		t.Errorf("terminationGracePeriodSeconds is %s, must be above %s", grace, graceFloor)
	}
}

func TestProbesAskTheMetricsListener(t *testing.T) {
	t.Parallel()
	c := only(t)
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

func TestThePodHasNoPrivileges(t *testing.T) {
	t.Parallel()
	pod, c := objects(t)["Deployment"].Spec.Template.Spec, only(t)
	switch {
	case pod.MountToken == nil || *pod.MountToken:
		t.Error("a service account token is mounted")
	case !pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.RunAsUser != user:
		t.Errorf("the user is %+v, want %s", pod.SecurityContext, user)
	case !c.SecurityContext.ReadOnlyRootFilesystem:
		t.Error("the root file system is writable")
	case c.SecurityContext.AllowPrivilegeEscalation == nil || *c.SecurityContext.AllowPrivilegeEscalation:
		t.Error("privileges may be escalated")
	case len(c.SecurityContext.Capabilities.Drop) != 1 || c.SecurityContext.Capabilities.Drop[0] != "ALL":
		t.Errorf("dropped capabilities are %v, want ALL", c.SecurityContext.Capabilities.Drop)
	}
}

func TestThePodsMemoryHoldsTheBudget(t *testing.T) {
	t.Parallel()
	var limit option.Bytes
	if err := limit.UnmarshalText([]byte(only(t).Resources.Limits.Memory + "B")); err != nil {
		t.Fatal(err)
	}
	if limit <= memoryFloor {
		t.Errorf("the memory limit is %s, must be above %s", limit, option.Bytes(memoryFloor))
	}
}

func TestTheConfigurationIsMountedWhereRunReadsIt(t *testing.T) {
	t.Parallel()
	all := objects(t)
	pod, c := all["Deployment"].Spec.Template.Spec, only(t)
	volume := map[string]string{}
	for _, v := range pod.Volumes {
		volume[v.Name] = v.ConfigMap.Name
	}
	file := c.Args[len(c.Args)-1]
	for _, m := range c.VolumeMounts {
		name, below := strings.CutPrefix(file, m.MountPath+"/")
		if below && volume[m.Name] == all["ConfigMap"].Meta.Name && all["ConfigMap"].Data[name] != "" {
			return
		}
	}
	t.Errorf("run reads %s, which no mount of the ConfigMap holds", file)
}

func TestSelectorsFindThePods(t *testing.T) {
	t.Parallel()
	all := objects(t)
	pods := all["Deployment"].Spec.Template.Metadata.Labels
	for _, kind := range []string{"Deployment", "PodDisruptionBudget"} {
		for k, v := range all[kind].Spec.Selector.MatchLabels {
			if pods[k] != v {
				t.Errorf("%s selects %s=%s, pods have %q", kind, k, v, pods[k])
			}
		}
		if len(all[kind].Spec.Selector.MatchLabels) == 0 {
			t.Errorf("%s selects nothing", kind)
		}
	}
	if d := all["Deployment"].Spec.Replicas; d <= all["PodDisruptionBudget"].Spec.MaxUnavailable {
		t.Errorf("%d replicas may all be disrupted at once", d)
	}
}

func only(t *testing.T) container {
	t.Helper()
	cs := objects(t)["Deployment"].Spec.Template.Spec.Containers
	if len(cs) != 1 {
		t.Fatalf("%d containers, want 1", len(cs))
	}
	return cs[0]
}

func TestComposeStartsInOrderAndDrains(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image     string   `yaml:"image"`
			Command   []string `yaml:"command"`
			Volumes   []string `yaml:"volumes"`
			Grace     string   `yaml:"stop_grace_period"`
			DependsOn map[string]struct {
				Condition string `yaml:"condition"`
			} `yaml:"depends_on"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ worker, setup, broker, config string }{
		{"worker", "setup", "nats", "./flushline.yaml"},
		{"worker-kafka", "setup-kafka", "kafka", "./flushline-kafka.yaml"},
	} {
		worker, setup := file.Services[c.worker], file.Services[c.setup]
		grace, err := time.ParseDuration(worker.Grace)
		if err != nil || grace <= graceFloor {
			t.Errorf("%s: stop_grace_period is %q, must be above %s", c.worker, worker.Grace, graceFloor)
		}
		if setup.DependsOn[c.broker].Condition != "service_healthy" ||
			worker.DependsOn[c.setup].Condition != "service_completed_successfully" {
			t.Errorf("wrong order: %s %v, %s %v", c.setup, setup.DependsOn, c.worker, worker.DependsOn)
		}
		if len(setup.Command) < 3 || setup.Command[0] != "setup" {
			t.Errorf("%s runs %v", c.setup, setup.Command)
		}
		mount := c.config + ":" + setup.Command[2] + ":ro"
		if !slices.Contains(setup.Volumes, mount) || !slices.Contains(worker.Volumes, mount) {
			t.Errorf("%s has %v, %s has %v, want %s", c.setup, setup.Volumes, c.worker, worker.Volumes, mount)
		}
	}
	// What is shown is what is tested against.
	if got, want := file.Services["kafka"].Image, "apache/kafka:"+kafkabroker.Version4; got != want {
		t.Errorf("the image is %s, want %s", got, want)
	}
}

func TestTheImageIsStaticAndNotRoot(t *testing.T) {
	t.Parallel()
	stages := dockerfile(t)
	last := stages[len(stages)-1]
	if last["FROM"] != "scratch" || last["USER"] != user+":"+user {
		t.Errorf("the last stage is from %q as user %q", last["FROM"], last["USER"])
	}
	if !strings.HasPrefix(last["ENTRYPOINT"], "[") || !strings.HasPrefix(last["CMD"], "[") {
		t.Error("a shell form needs a shell, and the image has none")
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(mod)
	if version == nil || !strings.Contains(stages[0]["FROM"], "golang:"+string(version[1])+"-") {
		t.Errorf("go.mod wants go %s, the image is built by %q", version[1], stages[0]["FROM"])
	}
	if !strings.Contains(stages[0]["RUN"], "CGO_ENABLED=0") {
		t.Error("the binary is linked against a libc that scratch does not have")
	}
}

// dockerfile reads the instructions of each stage; those that come more than once
// are joined.
func dockerfile(t *testing.T) []map[string]string {
	t.Helper()
	raw, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var stages []map[string]string
	lines := bufio.NewScanner(strings.NewReader(strings.ReplaceAll(string(raw), "\\\n", " ")))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		if word == "FROM" {
			stages = append(stages, map[string]string{})
		}
		if len(stages) == 0 {
			t.Fatalf("%q stands before FROM", line)
		}
		stage := stages[len(stages)-1]
		stage[word] = strings.TrimSpace(stage[word] + " " + rest)
	}
	if len(stages) != 2 {
		t.Fatalf("%d stages, want 2", len(stages))
	}
	return stages
}
