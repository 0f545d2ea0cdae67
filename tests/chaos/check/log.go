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

// A Log is the topic without what was written more than once.
type Log struct {
	commits   map[string]*Commit
	events    []Record
	rejected  int
	duplicate int
	// Commits that stand in a record of commits behind another one.
	together int
}

// assemble reads the topic by the documented rule and nothing else: take only places beyond the last one that was taken.
// It shares no code with the program. It finds gaps in positions and versions, commits that are not whole, and ids that occur twice.
func assemble(topic []Record, findings *Findings) *Log {
	log := &Log{commits: map[string]*Commit{}}
	versions := map[string]uint64{}
	seen := map[string]bool{}
	var last *Record
	for i := range topic {
		record := topic[i]
		if last != nil && (record.CommitOffset < last.CommitOffset || record.CommitOffset == last.CommitOffset && record.Index <= last.Index) {
			log.duplicate++
			continue
		}
		follows := record.Index == 0 && (last == nil || last.Index+1 == last.Count)
		if record.Index > 0 {
			follows = last != nil && last.CommitOffset == record.CommitOffset && last.Index+1 == record.Index
		}
		if !follows {
			findings.add("the record at offset %d is piece %d of what it belongs to, and the one before is missing", record.Offset, record.Index)
		}
		before := last
		last = &topic[i]
		if record.Index > 0 && before != nil && before.Commit != record.Commit {
			log.together++
		}
		known := log.commits[record.Commit]
		if known == nil {
			known = &Commit{isRejected: record.IsRejection}
			log.commits[record.Commit] = known
		} else if known.records[0].CommitOffset != record.CommitOffset || before.Commit != record.Commit {
			findings.add("commit %s was judged twice, the second time at offset %d", record.Commit, record.Offset)
		}
		known.records = append(known.records, record)
		if record.IsRejection {
			log.rejected++
			continue
		}
		if record.Position != uint64(len(log.events)) {
			findings.add("the event at offset %d has position %d instead of %d", record.Offset, record.Position, len(log.events))
		}
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
	if last != nil && last.Index+1 != last.Count {
		findings.add("the last commits have %d pieces of %d", last.Index+1, last.Count)
	}
	return log
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

// compareEvents checks that an accepted commit is there whole, in order, and nothing besides.
func compareEvents(operation *Operation, log *Log, findings *Findings) {
	found := log.commits[operation.Commit]
	if found == nil || found.isRejected {
		return
	}
	var wanted []string
	for _, part := range operation.Parts {
		for _, event := range part.Events {
			wanted = append(wanted, part.Stream+" "+event)
		}
	}
	var there []string
	for _, record := range found.records {
		there = append(there, record.Stream+" "+record.Event)
	}
	if strings.Join(wanted, ",") != strings.Join(there, ",") {
		findings.add("commit %s should be %v and is %v", operation.Commit, wanted, there)
	}
}

// comparePrinted checks that the program's own reader, from an empty folder, tells the same story.
func comparePrinted(printed []CloudEvent, log *Log, findings *Findings) {
	if len(printed) != len(log.events) {
		findings.add("the program prints %d events, and the log has %d", len(printed), len(log.events))
		return
	}
	for i, event := range log.events {
		if printed[i].ID != event.Event || printed[i].Position != fmt.Sprint(event.Position) {
			findings.add("at position %d the program prints event %s at %s, and the log has %s", i, printed[i].ID, printed[i].Position, event.Event)
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
