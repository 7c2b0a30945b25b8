package protocol

// The message types of sls_logs.proto (proto2, package sls_logs), with the field
// names, Go types and JSON tags that iLogtail's Go plugins compile against.
// Memory of decoded groups is never changed or reused after a Flush got it.

// Log is one record.
type Log struct {
	Time     uint32         `json:"Time"` // seconds since 1970
	Contents []*Log_Content `json:"Contents,omitempty"`
	Values   []string       `json:"values,omitempty"`
	TimeNs   *uint32        `json:"Time_ns,omitempty"` // the nanosecond part, not an epoch
}

// Log_Content is one field of a Log. The name is the one iLogtail's generated
// code has.
type Log_Content struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}

// LogTag describes all logs of a group.
type LogTag struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}

// LogGroup is what is routed, flushed and acknowledged.
type LogGroup struct {
	Logs        []*Log    `json:"Logs,omitempty"`
	Category    string    `json:"Category"` // the logstore, often empty
	Topic       string    `json:"Topic"`
	Source      string    `json:"Source"`
	MachineUUID string    `json:"MachineUUID"`
	LogTags     []*LogTag `json:"LogTags,omitempty"`
}

// LogGroupList is several groups in one message.
type LogGroupList struct {
	LogGroupList []*LogGroup `json:"logGroupList,omitempty"`
}
