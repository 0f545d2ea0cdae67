package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// A Part is what one commit appends to one stream.
type Part struct {
	Stream string `json:"stream"`
	// "any", "exists", "empty", or "exact" with Version.
	Expected string   `json:"expected"`
	Version  uint64   `json:"version"`
	Events   []string `json:"events"`
}

// An Outcome is what a client was told about its commit.
type Outcome struct {
	// "accepted", "rejected" or "unknown".
	Verdict string `json:"verdict"`
	First   uint64 `json:"first"`
	Last    uint64 `json:"last"`
	// Of a rejection: the stream that was not as expected, and its last version, -1 for one without events.
	Stream string `json:"stream"`
	Actual int64  `json:"actual"`
}

// An Operation is one line of a history.
type Operation struct {
	// "append", "read", or "verdict": an answer to one try of an append, also one that came too late to count.
	Kind   string `json:"kind"`
	Client int    `json:"client"`
	Call   int64  `json:"call"`
	Return int64  `json:"return"`

	Workspace string  `json:"workspace"`
	Commit    string  `json:"commit"`
	Parts     []Part  `json:"parts"`
	Outcome   Outcome `json:"outcome"`

	// Of a read: which events it saw from version From on. A local one waited for no token.
	IsLocal bool     `json:"is_local"`
	Stream  string   `json:"stream"`
	From    uint64   `json:"from"`
	Events  []string `json:"events"`
}

// A Record is one record of the events topic as it lies there, repeats included.
type Record struct {
	Partition    int32  `json:"partition"`
	Offset       int64  `json:"offset"`
	Workspace    string `json:"workspace"`
	Commit       string `json:"commit"`
	CommitOffset uint64 `json:"commit_offset"`
	Index        uint32 `json:"index"`
	Count        uint32 `json:"count"`
	IsRejection  bool   `json:"is_rejection"`
	Event        string `json:"event"`
	Type         string `json:"type"`
	Stream       string `json:"stream"`
	Version      uint64 `json:"version"`
	Position     uint64 `json:"position"`
}

func (r Record) String() string {
	return fmt.Sprintf("offset %d of partition %d", r.Offset, r.Partition)
}

// A CloudEvent is what the program prints of an event.
type CloudEvent struct {
	ID       string `json:"id"`
	Source   string `json:"source"`
	Subject  string `json:"subject"`
	Position string `json:"position"`
}

// readLines reads a file of JSON objects, one a line.
func readLines[T any](path string) ([]T, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return decodeLines[T](file, path)
}

func decodeLines[T any](from io.Reader, name string) ([]T, error) {
	decoder := json.NewDecoder(bufio.NewReader(from))
	var all []T
	for {
		var one T
		if err := decoder.Decode(&one); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s, entry %d: %w", name, len(all)+1, err)
		}
		all = append(all, one)
	}
}
