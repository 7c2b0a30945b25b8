package protocol_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/flushline/flushline/protocol/internal/slspb"
)

var (
	protoMessage = regexp.MustCompile(`^message (\w+) \{$`)
	protoField   = regexp.MustCompile(`^(required|optional|repeated) (\w+) (\w+) = (\d+);`)
	protoScalars = map[string]descriptorpb.FieldDescriptorProto_Type{
		"string":  descriptorpb.FieldDescriptorProto_TYPE_STRING,
		"uint32":  descriptorpb.FieldDescriptorProto_TYPE_UINT32,
		"fixed32": descriptorpb.FieldDescriptorProto_TYPE_FIXED32,
	}
	protoLabels = map[string]descriptorpb.FieldDescriptorProto_Label{
		"required": descriptorpb.FieldDescriptorProto_LABEL_REQUIRED,
		"optional": descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL,
		"repeated": descriptorpb.FieldDescriptorProto_LABEL_REPEATED,
	}
)

// protoFile reads the subset of proto2 that sls_logs.proto is written in.
func protoFile(t testing.TB) *descriptorpb.FileDescriptorProto {
	t.Helper()
	text, err := os.ReadFile("sls_logs.proto")
	if err != nil {
		t.Fatal(err)
	}
	file := &descriptorpb.FileDescriptorProto{Name: proto.String("sls_logs.proto"), Package: proto.String("sls_logs")}
	var open []*descriptorpb.DescriptorProto // messages around the current line
	for n, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "//")
		line = strings.TrimSpace(line)
		if m := protoMessage.FindStringSubmatch(line); m != nil {
			open = append(open, &descriptorpb.DescriptorProto{Name: &m[1]})
			continue
		}
		if line == "}" {
			last := open[len(open)-1]
			if open = open[:len(open)-1]; len(open) == 0 {
				file.MessageType = append(file.MessageType, last)
			} else {
				open[len(open)-1].NestedType = append(open[len(open)-1].NestedType, last)
			}
			continue
		}
		if m := protoField.FindStringSubmatch(line); m != nil {
			last := open[len(open)-1]
			last.Field = append(last.Field, field(open, m))
			continue
		}
		if line != "" && line != `syntax = "proto2";` && line != "package sls_logs;" {
			t.Fatalf("sls_logs.proto:%d: this test does not understand %q", n+1, line)
		}
	}
	return file
}

func field(open []*descriptorpb.DescriptorProto, m []string) *descriptorpb.FieldDescriptorProto {
	number, _ := strconv.Atoi(m[4])
	f := &descriptorpb.FieldDescriptorProto{
		Name: &m[3], JsonName: proto.String(jsonName(m[3])),
		Number: proto.Int32(int32(number)), Label: protoLabels[m[1]].Enum(),
	}
	if scalar, ok := protoScalars[m[2]]; ok {
		f.Type = scalar.Enum()
		return f
	}
	f.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
	f.TypeName = proto.String(".sls_logs." + m[2])
	for _, nested := range open[len(open)-1].NestedType {
		if nested.GetName() == m[2] {
			f.TypeName = proto.String(".sls_logs." + open[0].GetName() + "." + m[2])
		}
	}
	return f
}

// jsonName is protoc's rule: the letter behind an underscore becomes upper case.
func jsonName(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

func TestGeneratedReferenceIsOfThisProtoFile(t *testing.T) {
	t.Parallel()
	got, want := protodesc.ToFileDescriptorProto(slspb.File_sls_logs_proto), protoFile(t)
	if !proto.Equal(got, want) {
		t.Errorf("internal/slspb was generated from another sls_logs.proto\ngenerated: %s\nfile: %s",
			prototext.Format(got), prototext.Format(want))
	}
}

// dynamicMessages are the types of sls_logs.proto, made at run time from its text.
func dynamicMessages(t testing.TB) func(name string) *dynamicpb.Message {
	t.Helper()
	file, err := protodesc.NewFile(protoFile(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) *dynamicpb.Message {
		return dynamicpb.NewMessage(file.Messages().ByName(protoreflect.Name(name)))
	}
}
