package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// What the tests read of the objects below kubernetes.

type labels map[string]string

type meta struct {
	Name   string `yaml:"name"`
	Labels labels `yaml:"labels"`
}

type object struct {
	Kind string            `yaml:"kind"`
	Meta meta              `yaml:"metadata"`
	Data map[string]string `yaml:"data"`
	Spec spec              `yaml:"spec"`
}

type selector struct {
	MatchLabels labels `yaml:"matchLabels"`
}

// spec is that of any kind. What is embedded in it has to be exported to be decoded.
type spec struct {
	Replicas       int      `yaml:"replicas"`
	MaxUnavailable int      `yaml:"maxUnavailable"`
	Selector       selector `yaml:"selector"`

	ConcurrencyPolicy string `yaml:"concurrencyPolicy"`
	Schedule          string `yaml:"schedule"`
	TimeZone          string `yaml:"timeZone"`
	JobTemplate       struct {
		Spec JobSpec `yaml:"spec"`
	} `yaml:"jobTemplate"`

	JobSpec `yaml:",inline"`
}

type JobSpec struct {
	CompletionMode       string `yaml:"completionMode"`
	Completions          int    `yaml:"completions"`
	Parallelism          int    `yaml:"parallelism"`
	BackoffLimit         *int   `yaml:"backoffLimit"`
	BackoffLimitPerIndex *int   `yaml:"backoffLimitPerIndex"`
	PodFailurePolicy     struct {
		Rules []rule `yaml:"rules"`
	} `yaml:"podFailurePolicy"`
	Template struct {
		Metadata meta `yaml:"metadata"`
		Spec     pod  `yaml:"spec"`
	} `yaml:"template"`
}

type rule struct {
	Action      string `yaml:"action"`
	OnExitCodes *struct {
		ContainerName string `yaml:"containerName"`
		Operator      string `yaml:"operator"`
		Values        []int  `yaml:"values"`
	} `yaml:"onExitCodes"`
	OnPodConditions []struct {
		Type   string `yaml:"type"`
		Status string `yaml:"status"`
	} `yaml:"onPodConditions"`
}

type pod struct {
	Grace           int    `yaml:"terminationGracePeriodSeconds"`
	RestartPolicy   string `yaml:"restartPolicy"`
	MountToken      *bool  `yaml:"automountServiceAccountToken"`
	SecurityContext struct {
		RunAsNonRoot bool   `yaml:"runAsNonRoot"`
		RunAsUser    string `yaml:"runAsUser"`
	} `yaml:"securityContext"`
	Containers []container `yaml:"containers"`
	Volumes    []volume    `yaml:"volumes"`
}

type volume struct {
	Name      string `yaml:"name"`
	ConfigMap struct {
		Name string `yaml:"name"`
	} `yaml:"configMap"`
	Claim struct {
		Name string `yaml:"claimName"`
	} `yaml:"persistentVolumeClaim"`
	EmptyDir *struct{} `yaml:"emptyDir"`
}

type container struct {
	Name  string   `yaml:"name"`
	Args  []string `yaml:"args"`
	Env   []env    `yaml:"env"`
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
	VolumeMounts []mount `yaml:"volumeMounts"`
}

type mount struct {
	Name string `yaml:"name"`
	Path string `yaml:"mountPath"`
}

type probe struct {
	HTTPGet struct {
		Path string `yaml:"path"`
		Port string `yaml:"port"`
	} `yaml:"httpGet"`
}

type env struct {
	Name string `yaml:"name"`
	From struct {
		Field struct {
			Path string `yaml:"fieldPath"`
		} `yaml:"fieldRef"`
		Secret struct {
			Name string `yaml:"name"`
			Key  string `yaml:"key"`
		} `yaml:"secretKeyRef"`
	} `yaml:"valueFrom"`
}

// objects are all that is shipped, by kind and name, and those of a file after it:
// "Job/flushline-replay".
func objects(t *testing.T) map[string]*object {
	t.Helper()
	files, err := filepath.Glob("kubernetes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no manifests: %v", err)
	}
	found := map[string]*object{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for dec := yaml.NewDecoder(bytes.NewReader(raw)); ; {
			o := new(object)
			err := dec.Decode(o)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			id := o.Kind + "/" + o.Meta.Name
			if found[id] != nil {
				t.Fatalf("%s: there is another %s", file, id)
			}
			found[id] = o
		}
	}
	return found
}

// one is a shipped object.
func one(t *testing.T, id string) *object {
	t.Helper()
	o := objects(t)[id]
	if o == nil {
		t.Fatalf("no manifest has %s", id)
	}
	return o
}

// workload is what makes pods: a Deployment, a Job, a CronJob.
type workload struct {
	id string
	*JobSpec
	program container
}

// workloads are all that are shipped. Each runs flushline and nothing else.
func workloads(t *testing.T) []workload {
	t.Helper()
	all := objects(t)
	var found []workload
	for _, id := range slices.Sorted(maps.Keys(all)) {
		w := workload{id: id, JobSpec: &all[id].Spec.JobSpec}
		switch all[id].Kind {
		case "Deployment", "Job":
		case "CronJob":
			w.JobSpec = &all[id].Spec.JobTemplate.Spec
		default:
			continue
		}
		if n := len(w.Template.Spec.Containers); n != 1 {
			t.Fatalf("%s has %d containers, want 1", id, n)
		}
		w.program = w.Template.Spec.Containers[0]
		found = append(found, w)
	}
	return found
}

// jobs are the workloads that end.
func jobs(t *testing.T) []workload {
	t.Helper()
	all := slices.DeleteFunc(workloads(t), func(w workload) bool { return strings.HasPrefix(w.id, "Deployment/") })
	if len(all) != 3 {
		t.Fatalf("%d jobs are shipped, want 3", len(all))
	}
	return all
}

// flag is the value of a flag in the program's arguments, written as --name=value.
func (c *container) flag(name string) string {
	for _, arg := range c.Args {
		if value, is := strings.CutPrefix(arg, "--"+name+"="); is {
			return value
		}
	}
	return ""
}
