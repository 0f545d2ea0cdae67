package main

import (
	"fmt"
	"testing"

	"github.com/anishathalye/porcupine"
)

const clip = "clip-1"

// appended makes an accepted append of one event to the clip.
func appended(call, back int64, commit, event string, expected string, version, position uint64) Operation {
	return Operation{
		Kind: "append", Call: call, Return: back, Workspace: "w", Commit: commit,
		Parts:   []Part{{Stream: clip, Expected: expected, Version: version, Events: []string{event}}},
		Outcome: Outcome{Verdict: "accepted", First: position, Last: position},
	}
}

func with(operation Operation, outcome Outcome) Operation {
	operation.Outcome = outcome
	return operation
}

func reading(call, back int64, from uint64, events ...string) Operation {
	return Operation{Kind: "read", Call: call, Return: back, Stream: clip, From: from, Events: events}
}

func recorded(offset int64, commit string, event string, version, position uint64) Record {
	return Record{
		Offset: offset, Workspace: "w", Commit: commit, CommitOffset: uint64(offset), Count: 1,
		Event: event, Type: "clip.rejected", Stream: clip, Version: version, Position: position,
	}
}

func rejection(offset int64, commit string) Record {
	return Record{Offset: offset, Workspace: "w", Commit: commit, CommitOffset: uint64(offset), Count: 1, IsRejection: true, Stream: clip}
}

// good is a log of two events, one of them written twice, and a rejection.
func good() []Record {
	again := recorded(0, "a", "x", 0, 0)
	again.Offset = 3
	return []Record{recorded(0, "a", "x", 0, 0), recorded(1, "b", "y", 1, 1), rejection(2, "c"), again}
}

func history() []Operation {
	return []Operation{
		appended(1, 2, "a", "x", "empty", 0, 0),
		reading(3, 4, 0, "x"),
		appended(5, 8, "b", "y", "exact", 0, 1),
		with(appended(6, 9, "c", "z", "exact", 0, 0), Outcome{Verdict: "rejected", Stream: clip, Actual: 1}),
		reading(10, 11, 1, "y"),
	}
}

// wrong counts what is found when these clients were told this about that log.
func wrong(operations []Operation, topic []Record) int {
	findings := &Findings{}
	log := assemble(topic, findings)
	compare(operations, log, findings)
	if result, _ := judge(operations, log, ""); result != porcupine.Ok {
		findings.add("%s", result)
	}
	return findings.count
}

func linearizable(operations []Operation, topic []Record) bool {
	result, _ := judge(operations, assemble(topic, &Findings{}), "")
	return result == porcupine.Ok
}

func TestAHistoryAsItMustBePasses(t *testing.T) {
	if found := wrong(history(), good()); found != 0 {
		t.Fatalf("%d things are wrong", found)
	}
}

func TestALostCommitIsFound(t *testing.T) {
	lost := []Record{recorded(0, "a", "x", 0, 0), rejection(2, "c")}
	if wrong(history(), lost) == 0 || linearizable(history(), lost) {
		t.Fatal("an acknowledged commit is not on the log, and nobody minds")
	}
}

func TestAVersionGivenTwiceIsFound(t *testing.T) {
	twice := append(good(), recorded(4, "d", "w", 1, 2))
	operations := append(history(), appended(12, 13, "d", "w", "exact", 0, 2))
	if wrong(operations, twice) == 0 || linearizable(operations, twice) {
		t.Fatal("two events have one version, and nobody minds")
	}
}

func TestAStaleReadIsFound(t *testing.T) {
	operations := append(history(), reading(12, 13, 0, "x"))
	if linearizable(operations, good()) {
		t.Fatal("a read does not see what was acknowledged before it, and nobody minds")
	}
}

func TestReadsThatDisagreeWhileAnAppendRunsAreFound(t *testing.T) {
	operations := []Operation{
		appended(1, 2, "a", "x", "empty", 0, 0),
		appended(3, 20, "b", "y", "exact", 0, 1),
		reading(4, 5, 0, "x", "y"),
		reading(6, 7, 0, "x"),
	}
	if linearizable(operations, good()[:2]) {
		t.Fatal("an event was seen, and then not, and nobody minds")
	}
}

func TestAnEventFromNowhereIsFound(t *testing.T) {
	if wrong(history(), append(good(), recorded(4, "d", "w", 2, 2))) == 0 {
		t.Fatal("nobody asked for an event, and nobody minds")
	}
}

func TestARejectionThatWasNotDueIsFound(t *testing.T) {
	operations := []Operation{with(appended(1, 2, "c", "z", "empty", 0, 0), Outcome{Verdict: "rejected", Stream: clip, Actual: -1})}
	if linearizable(operations, []Record{rejection(0, "c")}) {
		t.Fatal("a commit that fits was rejected, and nobody minds")
	}
}

func TestTwoAnswersToOneCommitAreFound(t *testing.T) {
	told := Operation{Kind: "verdict", Commit: "b", Outcome: Outcome{Verdict: "rejected", Stream: clip, Actual: 1}}
	if wrong(append(history(), told), good()) == 0 {
		t.Fatal("a commit was accepted and rejected, and nobody minds")
	}
}

func TestAnAcknowledgedPlaceThatIsAnothersIsFound(t *testing.T) {
	operations := history()
	operations[2].Outcome.First, operations[2].Outcome.Last = 7, 7
	if wrong(operations, good()) == 0 {
		t.Fatal("a client was told another position, and nobody minds")
	}
}

// together is what was made of one record of commits.
func together(records ...Record) []Record {
	for i := range records {
		records[i].CommitOffset, records[i].Index, records[i].Count = 7, uint32(i), uint32(len(records))
	}
	return records
}

func TestCommitsOfOneRecordAreToldApart(t *testing.T) {
	findings := &Findings{}
	log := assemble(together(recorded(0, "a", "x", 0, 0), rejection(1, "b"), recorded(2, "c", "y", 1, 1)), findings)
	if findings.count != 0 || len(log.commits) != 3 || len(log.events) != 2 || log.rejected != 1 || log.together != 2 {
		t.Fatalf("%v: %d commits, %d behind another, %d events, %d rejected", findings.listed, len(log.commits), log.together, len(log.events), log.rejected)
	}
}

func TestGapsAndRepeatsOnTheLogAreFound(t *testing.T) {
	again := together(recorded(0, "a", "x", 0, 0), recorded(1, "b", "y", 1, 1), recorded(2, "a", "z", 2, 2))
	broken := map[string][]Record{
		"a position is missing":          {recorded(0, "a", "x", 0, 0), recorded(1, "b", "y", 1, 2)},
		"a version is missing":           {recorded(0, "a", "x", 0, 0), recorded(1, "b", "y", 2, 1)},
		"an event is there twice":        {recorded(0, "a", "x", 0, 0), recorded(1, "b", "x", 1, 1)},
		"a commit is judged twice":       {recorded(0, "a", "x", 0, 0), recorded(1, "a", "y", 1, 1)},
		"a commit has a stranger inside": again,
		"a record lacks its last commit": again[:1],
		"a commit is not whole":          {{Commit: "a", Count: 2, Event: "x", Stream: clip}},
	}
	for name, topic := range broken {
		findings := &Findings{}
		if assemble(topic, findings); findings.count == 0 {
			t.Errorf("%s, and nobody minds", name)
		}
	}
}

// in moves records to a partition, and to a workspace that is only there.
func in(partition int32, records ...Record) []Record {
	for i := range records {
		records[i].Partition, records[i].Workspace = partition, fmt.Sprint("w", partition)
	}
	return records
}

func TestPlacesAndPositionsArePerPartition(t *testing.T) {
	other := in(1, recorded(0, "d", "v", 0, 0), recorded(1, "e", "u", 1, 1), rejection(2, "f"))
	other[0].Stream, other[1].Stream = "clip-2", "clip-2"
	all := good()
	mixed := []Record{all[0], other[0], all[1], other[1], all[2], other[2], all[3]}
	findings := &Findings{}
	log := assemble(mixed, findings)
	if findings.count != 0 || len(log.events) != 4 || log.duplicate != 1 || log.partitions[0].events != 2 || log.partitions[1].events != 2 {
		t.Fatalf("%v: %d events, %d repeats", findings.listed, len(log.events), log.duplicate)
	}
}

func TestWhatIsWrongInAnotherPartitionIsFound(t *testing.T) {
	// At the same place as in its own partition.
	elsewhere := in(1, recorded(1, "b", "v", 0, 0))
	stranger := recorded(0, "d", "v", 2, 0)
	stranger.Partition = 1
	half := in(1, together(recorded(0, "d", "v", 0, 0), recorded(1, "e", "u", 1, 1))...)
	broken := map[string][]Record{
		"a position is missing":                  in(1, recorded(0, "d", "v", 0, 0), recorded(1, "e", "u", 1, 2)),
		"positions go on from another partition": in(1, recorded(0, "d", "v", 0, 2)),
		"an event is there, too":                 in(1, recorded(0, "d", "x", 0, 0)),
		"a commit is judged there, too":          elsewhere,
		"a workspace is there, too":              {stranger},
		"a record lacks its last commit":         half[:1],
		"a record lacks its first commit":        half[1:],
	}
	for name, topic := range broken {
		findings := &Findings{}
		if assemble(append(good(), topic...), findings); findings.count == 0 {
			t.Errorf("%s, and nobody minds", name)
		}
	}
}

func TestACommitInAnotherWorkspaceThanItsClientsIsFound(t *testing.T) {
	moved := good()
	for i := range moved {
		moved[i].Workspace = "v"
	}
	if wrong(history(), moved) == 0 {
		t.Fatal("a commit is in a workspace that nobody named, and nobody minds")
	}
}

func TestWhatTheProgramPrintsIsAllOfItsWorkspace(t *testing.T) {
	log := assemble(append(good(), in(1, recorded(0, "d", "v", 0, 0))...), &Findings{})
	event := func(id, position string) CloudEvent {
		return CloudEvent{ID: id, Source: "/workspaces/w", Subject: clip, Position: position}
	}
	cases := map[string]struct {
		printed []CloudEvent
		fits    bool
	}{
		"as it is":  {[]CloudEvent{event("x", "0"), event("y", "1")}, true},
		"less":      {[]CloudEvent{event("x", "0")}, false},
		"of others": {[]CloudEvent{event("x", "0"), event("y", "1"), event("v", "0")}, false},
		"moved":     {[]CloudEvent{event("x", "0"), event("y", "2")}, false},
	}
	for name, what := range cases {
		findings := &Findings{}
		comparePrinted(what.printed, "w", log, findings)
		if (findings.count == 0) != what.fits {
			t.Errorf("%s: %v", name, findings.listed)
		}
	}
}

func TestAnUnknownOutcomeMayHaveHappenedLaterOrNever(t *testing.T) {
	unknown := with(appended(1, 0, "b", "y", "exact", 0, 0), Outcome{Verdict: "unknown"})
	first := appended(2, 3, "a", "x", "empty", 0, 0)
	if !linearizable([]Operation{unknown, first, reading(4, 5, 0, "x"), reading(6, 7, 0, "x", "y")}, good()[:2]) {
		t.Fatal("it may count after its client has given up")
	}
	if !linearizable([]Operation{unknown, first, reading(4, 5, 0, "x")}, good()[:1]) {
		t.Fatal("it may never count")
	}
}

func TestACommitToTwoStreamsIsSeenAtOnce(t *testing.T) {
	both := appended(1, 10, "a", "x", "empty", 0, 0)
	both.Parts = append(both.Parts, Part{Stream: "clip-2", Expected: "empty", Events: []string{"y"}})
	both.Outcome.Last = 1
	second := recorded(0, "a", "y", 0, 1)
	second.Stream, second.Index, second.Count = "clip-2", 1, 2
	first := recorded(0, "a", "x", 0, 0)
	first.Count = 2
	other := func(events ...string) Operation {
		read := reading(4, 5, 0, events...)
		read.Stream = "clip-2"
		return read
	}
	if !linearizable([]Operation{both, reading(2, 3, 0, "x"), other("y")}, []Record{first, second}) {
		t.Fatal("both halves are there")
	}
	if linearizable([]Operation{both, reading(2, 3, 0, "x"), other()}, []Record{first, second}) {
		t.Fatal("half a commit was seen, and nobody minds")
	}
}

func TestALocalReadMayBeStaleButNotGoBackOrInvent(t *testing.T) {
	local := func(from uint64, events ...string) Operation {
		read := reading(20, 21, from, events...)
		read.IsLocal = true
		return read
	}
	cases := map[string]struct {
		reads []Operation
		fits  bool
	}{
		"stale":    {[]Operation{local(0, "x"), local(0, "x", "y"), local(5)}, true},
		"back":     {[]Operation{local(0, "x", "y"), local(0, "x")}, false},
		"nothing":  {[]Operation{local(0, "x", "y"), local(1)}, false},
		"invented": {[]Operation{local(0, "z")}, false},
	}
	for name, what := range cases {
		findings := &Findings{}
		compareLocalReads(what.reads, assemble(good(), findings), findings)
		if (findings.count == 0) != what.fits {
			t.Errorf("%s: %v", name, findings.listed)
		}
	}
	if !linearizable(append(history(), local(0, "x")), good()) {
		t.Error("a local read is no part of the linearizable history")
	}
}
