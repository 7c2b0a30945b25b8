// Package javaserver is what the rigs of real Java servers share (test/kafkabroker,
// test/searchnode): jars from Maven, kept once per machine, processes that end with the
// test, ports that stay theirs over a restart, and certificates.
package javaserver
