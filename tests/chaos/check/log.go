package main

import (
	"fmt"
	"slices"
	"strings"
)

// Findings that are listed; more are only counted.
const findingsMax = 20

// Findings are things that must not be, in words.
type Findings struct {
	listed []string
	count  int
}

func (f *Findings) add(format string, values ...any) {
	f.count++
	if len(f.listed) < findingsMax {
		f.listed = append(f.listed, fmt.Sprintf(format, values...))
	}
}

// A Commit is what the log says of a commit id.
type Commit struct {
	isRejected bool
	records    []Record
}

// A Partition is as far put together as it was read.
type Partition struct {
	// The last record that was taken.
	last   *Record
	events uint64
}

// A Log is the topic without what was written more than once. Its events are in order within each partition.
type Log struct {
	commits    map[string]*Commit
	partitions map[int32]*Partition
	events     []Record
	rejected   int
	duplicate  int
	// Commits that stand in a record of commits behind another one.
	together int
}

// assemble reads the topic by the documented rule and nothing else: of each partition, take only places beyond the last one that was taken.
// It shares no code with the program. It finds gaps in positions and versions, commits that are not whole, ids that occur twice, and
// workspaces that are in two partitions.
func assemble(topic []Record, findings *Findings) *Log {
	log := &Log{commits: map[string]*Commit{}, partitions: map[int32]*Partition{}}
	versions := map[string]uint64{}
	homes := map[string]int32{}
	seen := map[string]bool{}
	for i := range topic {
		record := topic[i]
		partition := log.partitions[record.Partition]
		if partition == nil {
			partition = &Partition{}
			log.partitions[record.Partition] = partition
		}
		before := partition.last
		if before != nil && (record.CommitOffset < before.CommitOffset || record.CommitOffset == before.CommitOffset && record.Index <= before.Index) {
			log.duplicate++
			continue
		}
		partition.last = &topic[i]
		if !record.follows(before) {
			findings.add("the record at %s is piece %d of what it belongs to, and the one before is missing", record, record.Index)
		}
		if home, known := homes[record.Workspace]; known && home != record.Partition {
			findings.add("%s is of workspace %s, which was in partition %d before", record, record.Workspace, home)
		}
		homes[record.Workspace] = record.Partition
		if record.Index > 0 && before != nil && before.Commit != record.Commit {
			log.together++
		}
		known := log.commits[record.Commit]
		if known == nil {
			known = &Commit{isRejected: record.IsRejection}
			log.commits[record.Commit] = known
		} else if !known.goesOn(record, before) {
			findings.add("commit %s was judged twice, the second time at %s", record.Commit, record)
		}
		known.records = append(known.records, record)
		if record.IsRejection {
			log.rejected++
			continue
		}
		if record.Position != partition.events {
			findings.add("the event at %s has position %d instead of %d", record, record.Position, partition.events)
		}
		partition.events++
		stream := record.Workspace + "/" + record.Stream
		if record.Version != versions[stream] {
			findings.add("%s goes from version %d to %d", stream, versions[stream], record.Version)
		}
		versions[stream] = record.Version + 1
		if seen[record.Event] {
			findings.add("event %s is on the log twice", record.Event)
		}
		seen[record.Event] = true
		log.events = append(log.events, record)
	}
	for number, partition := range log.partitions {
		if last := partition.last; last.Index+1 != last.Count {
			findings.add("the last commits of partition %d have %d pieces of %d", number, last.Index+1, last.Count)
		}
	}
	return log
}

// follows tells whether nothing is missing between a record and the one that was taken before it.
func (r Record) follows(before *Record) bool {
	if r.Index > 0 {
		return before != nil && before.CommitOffset == r.CommitOffset && before.Index+1 == r.Index
	}
	return before == nil || before.Index+1 == before.Count
}

// goesOn tells whether a record is the next one of a commit, and not of a second verdict on it.
func (c *Commit) goesOn(record Record, before *Record) bool {
	first := c.records[0]
	return first.Partition == record.Partition && first.CommitOffset == record.CommitOffset && before.Commit == record.Commit
}

// compare looks up on the log what clients were told.
func compare(history []Operation, log *Log, findings *Findings) {
	ours := map[string]*Operation{}
	for i := range history {
		operation := &history[i]
		switch operation.Kind {
		case "append":
			ours[operation.Commit] = operation
			compareOutcome(operation.Commit, operation.Outcome, log, findings)
			compareEvents(operation, log, findings)
		case "verdict":
			compareOutcome(operation.Commit, operation.Outcome, log, findings)
		}
	}
	for _, event := range log.events {
		if strings.HasPrefix(event.Stream, "clip-") && ours[event.Commit] == nil {
			findings.add("event %s is on the log, and nobody asked for its commit %s", event.Event, event.Commit)
		}
	}
}

func compareOutcome(id string, told Outcome, log *Log, findings *Findings) {
	found := log.commits[id]
	switch {
	case told.Verdict == "unknown":
	case found == nil:
		findings.add("commit %s was %s, and the log does not know it", id, told.Verdict)
	case told.Verdict == "accepted":
		first, last := found.records[0], found.records[len(found.records)-1]
		if found.isRejected {
			findings.add("commit %s was accepted, and the log says that it was rejected", id)
		} else if first.Position != told.First || last.Position != told.Last {
			findings.add("commit %s was accepted at %d to %d, and is at %d to %d", id, told.First, told.Last, first.Position, last.Position)
		}
	case !found.isRejected:
		findings.add("commit %s was rejected, and its events are on the log", id)
	}
}

// compareEvents checks that an accepted commit is there whole, in its workspace, in order, and nothing besides.
func compareEvents(operation *Operation, log *Log, findings *Findings) {
	found := log.commits[operation.Commit]
	if found == nil || found.isRejected {
		return
	}
	var wanted []string
	for _, part := range operation.Parts {
		for _, event := range part.Events {
			wanted = append(wanted, operation.Workspace+" "+part.Stream+" "+event)
		}
	}
	var there []string
	for _, record := range found.records {
		there = append(there, record.Workspace+" "+record.Stream+" "+record.Event)
	}
	if strings.Join(wanted, ",") != strings.Join(there, ",") {
		findings.add("commit %s should be %v and is %v", operation.Commit, wanted, there)
	}
}

// comparePrinted checks that the program's own reader, from an empty folder, tells the same story of a workspace.
func comparePrinted(printed []CloudEvent, workspace string, log *Log, findings *Findings) {
	var events []Record
	for _, event := range log.events {
		if event.Workspace == workspace {
			events = append(events, event)
		}
	}
	if len(printed) != len(events) {
		findings.add("the program prints %d events, and the log has %d of the workspace", len(printed), len(events))
		return
	}
	for i, event := range events {
		wanted := CloudEvent{ID: event.Event, Source: "/workspaces/" + workspace, Subject: event.Stream, Position: fmt.Sprint(event.Position)}
		if printed[i] != wanted {
			findings.add("as number %d the program prints %v, and the log has %v", i, printed[i], wanted)
			return
		}
	}
}

// compareLocalReads checks reads that waited for no token: they may be stale, but show what the log has, and never less than before.
func compareLocalReads(history []Operation, log *Log, findings *Findings) int {
	streams := map[string][]string{}
	for _, event := range log.events {
		streams[event.Stream] = append(streams[event.Stream], event.Event)
	}
	seen := map[string]uint64{}
	count := 0
	for _, read := range history {
		if read.Kind != "read" {
			continue
		}
		end, whole := read.From+uint64(len(read.Events)), streams[read.Stream]
		who := fmt.Sprint("client ", read.Client, ", reading ", read.Stream)
		if len(read.Events) > 0 && (end > uint64(len(whole)) || !slices.Equal(whole[read.From:end], read.Events)) {
			findings.add("%s from %d, saw %v, which the log does not have there", who, read.From, read.Events)
		}
		if end < seen[who] {
			findings.add("%s from %d, saw its end at %d, and at %d before", who, read.From, end, seen[who])
		}
		if len(read.Events) > 0 {
			seen[who] = end
		}
		if read.IsLocal {
			count++
		}
	}
	return count
}

// settled checks that every submitted video that counts was dealt with exactly once by the workers, and says how many there are.
func settled(log *Log, findings *Findings) int {
	submitted, refused := map[string]bool{}, map[string]int{}
	for _, event := range log.events {
		switch event.Type {
		case "video.submitted":
			submitted[event.Stream] = true
		case "video.refused":
			refused[event.Stream]++
		}
	}
	for video := range submitted {
		if refused[video] != 1 {
			findings.add("%s was submitted once and answered %d times", video, refused[video])
		}
	}
	return len(submitted)
}
