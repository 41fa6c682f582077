// Package executorpb is the generated wire form of package executor; start at
// executor.proto. Only package executor imports it.
package executorpb
