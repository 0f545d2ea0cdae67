package main

import (
	"fmt"
	"hash/fnv"
	"math"
	"strings"

	"github.com/anishathalye/porcupine"
)

// A tip is the last event of a stream, and through it the whole stream. It never changes, so states share it.
type tip struct {
	event   string
	version uint64
	before  *tip
	// Of every event up to this one: two streams with the same are the same.
	hash uint64
}

func (t *tip) next() uint64 {
	if t == nil {
		return 0
	}
	return t.version + 1
}

func (t *tip) push(event string) *tip {
	hash := fnv.New64a()
	if t != nil {
		fmt.Fprint(hash, t.hash)
	}
	fmt.Fprint(hash, event)
	return &tip{event: event, version: t.next(), before: t, hash: hash.Sum64()}
}

// A state is the streams that clients write, and where the last event among them lies. Streams are few, so it is copied whole.
type state struct {
	tips     map[string]*tip
	position int64
}

func (s state) hash() uint64 {
	sum := uint64(s.position) * 0x9e3779b97f4a7c15
	for name, tip := range s.tips {
		hash := fnv.New64a()
		fmt.Fprint(hash, name, tip.hash)
		sum += hash.Sum64()
	}
	return sum
}

func (s state) equals(other state) bool {
	if s.position != other.position || len(s.tips) != len(other.tips) {
		return false
	}
	for name, tip := range s.tips {
		if theirs := other.tips[name]; theirs == nil || theirs.hash != tip.hash || theirs.version != tip.version {
			return false
		}
	}
	return true
}

// fits tells whether a stream is as a part of a commit expects.
func (p Part) fits(at *tip) bool {
	switch p.Expected {
	case "any":
		return true
	case "exists":
		return at != nil
	case "empty":
		return at == nil
	case "exact":
		return at != nil && at.version == p.Version
	}
	panic("a history expects " + p.Expected)
}

// accept is the state with a commit in it, or false where it must be rejected.
func (s state) accept(parts []Part) (state, bool) {
	for _, part := range parts {
		if !part.fits(s.tips[part.Stream]) {
			return s, false
		}
	}
	tips := make(map[string]*tip, len(s.tips)+len(parts))
	for name, tip := range s.tips {
		tips[name] = tip
	}
	for _, part := range parts {
		for _, event := range part.Events {
			tips[part.Stream] = tips[part.Stream].push(event)
		}
	}
	return state{tips: tips, position: s.position}, true
}

// step is the sequential meaning of an operation: what it may answer in a state, and the state after it.
func (s state) step(operation Operation) (bool, state) {
	if operation.Kind == "read" {
		return s.reads(operation), s
	}
	after, fits := s.accept(operation.Parts)
	switch operation.Outcome.Verdict {
	case "accepted":
		if !fits || int64(operation.Outcome.First) <= s.position {
			return false, s
		}
		after.position = int64(operation.Outcome.Last)
		return true, after
	case "rejected":
		return !fits && s.conflict(operation.Parts) == operation.Outcome.conflict(), s
	}
	panic("a history has the verdict " + operation.Outcome.Verdict)
}

// conflict is the first stream that is not as expected, with its last version.
func (s state) conflict(parts []Part) string {
	for _, part := range parts {
		if at := s.tips[part.Stream]; !part.fits(at) {
			return fmt.Sprint(part.Stream, " at ", int64(at.next())-1)
		}
	}
	return ""
}

func (o Outcome) conflict() string { return fmt.Sprint(o.Stream, " at ", o.Actual) }

// reads tells whether a read saw the stream up to its end, from the version it asked for on.
func (s state) reads(read Operation) bool {
	at := s.tips[read.Stream]
	if len(read.Events) == 0 {
		return at.next() <= read.From
	}
	if at.next() != read.From+uint64(len(read.Events)) {
		return false
	}
	for i := len(read.Events) - 1; i >= 0; i-- {
		if at.event != read.Events[i] {
			return false
		}
		at = at.before
	}
	return true
}

// model describes all clips of a log at once, so that a commit to two of them is seen to be atomic.
func model() porcupine.Model {
	return porcupine.Model{
		Init:  func() interface{} { return state{tips: map[string]*tip{}, position: -1} },
		Step:  func(s, input, _ interface{}) (bool, interface{}) { return s.(state).step(input.(Operation)) },
		Equal: func(a, b interface{}) bool { return a.(state).equals(b.(state)) },
		Hash:  func(s interface{}) uint64 { return s.(state).hash() },
		DescribeOperation: func(input, _ interface{}) string {
			operation := input.(Operation)
			if operation.Kind == "read" {
				return fmt.Sprintf("read %s from %d: %d events", operation.Stream, operation.From, len(operation.Events))
			}
			return fmt.Sprintf("append %v: %+v", operation.Parts, operation.Outcome)
		},
		DescribeState: func(s interface{}) string {
			var words []string
			for name, tip := range s.(state).tips {
				words = append(words, fmt.Sprintf("%s@%d", name, tip.version))
			}
			return strings.Join(words, " ")
		},
	}
}

// operations makes of a history what the checker takes.
//
// An append whose outcome the client does not know may count at any time from its call on, so it returns at infinity. Whether it ever
// counted is looked up: the last reads of a history see the whole log, and what is not in it then never was.
func operations(history []Operation, log *Log) []porcupine.Operation {
	var all []porcupine.Operation
	for _, operation := range history {
		if operation.Kind == "verdict" || operation.IsLocal || isAppender(operation) || !onClips(operation) {
			continue
		}
		if operation.Kind == "append" && operation.Outcome.Verdict == "unknown" {
			found := log.commits[operation.Commit]
			if found == nil || found.isRejected {
				continue
			}
			last := len(found.records) - 1
			operation.Outcome = Outcome{Verdict: "accepted", First: found.records[0].Position, Last: found.records[last].Position}
			operation.Return = math.MaxInt64
		}
		all = append(all, porcupine.Operation{ClientId: operation.Client, Input: operation, Call: operation.Call, Return: operation.Return})
	}
	return all
}

// Clients of the workload, numbered from 0: CLIENTS of schedule.rs says the same.
const clients = 4

// isAppender: appenders count on behind the clients. Nobody else touches their streams, so what can be said of them is in versions and verdicts.
func isAppender(operation Operation) bool { return operation.Client >= clients }

// onClips: videos are also written by workers, whose calls no client times.
func onClips(operation Operation) bool {
	if operation.Kind == "read" {
		return strings.HasPrefix(operation.Stream, "clip-")
	}
	return len(operation.Parts) > 0 && strings.HasPrefix(operation.Parts[0].Stream, "clip-")
}

// whole is a read of every stream that clients share at the end of time: what the log says when all is over.
func whole(log *Log, history []Operation) []Operation {
	own := map[string]bool{}
	for _, operation := range history {
		for _, part := range operation.Parts {
			own[part.Stream] = own[part.Stream] || isAppender(operation)
		}
	}
	streams := map[string][]string{}
	for _, event := range log.events {
		if !own[event.Stream] {
			streams[event.Stream] = append(streams[event.Stream], event.Event)
		}
	}
	var reads []Operation
	for stream, events := range streams {
		reads = append(reads, Operation{Kind: "read", Stream: stream, Events: events, Call: math.MaxInt64, Return: math.MaxInt64})
	}
	return reads
}
