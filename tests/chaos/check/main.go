// Check judges a run of the chaos harness: what clients were told, against what is on the log.
//
//	check -history history.jsonl -topic topic.jsonl -events events.jsonl -workspace workspace_018f…
//
// Whether the history is linearizable is decided by Porcupine. Nothing here shares code with the program under test.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// A history of an hour is decided in seconds; what takes longer is a history that fits nowhere, and is told as undecided.
const searchTime = 5 * time.Minute

func main() {
	history := flag.String("history", "", "what clients did and were told, JSON lines")
	topic := flag.String("topic", "", "every record of the events topic, JSON lines")
	events := flag.String("events", "", "what `clipflow events` prints from an empty folder")
	workspace := flag.String("workspace", "", "the workspace whose events those are")
	picture := flag.String("picture", "", "where to draw a history that is not linearizable")
	flag.Parse()
	if err := run(*history, *topic, *events, *workspace, *picture); err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

func run(historyPath, topicPath, eventsPath, workspace, picture string) error {
	history, err := readLines[Operation](historyPath)
	if err != nil {
		return err
	}
	topic, err := readLines[Record](topicPath)
	if err != nil {
		return err
	}
	printed, err := readLines[CloudEvent](eventsPath)
	if err != nil {
		return err
	}
	findings := &Findings{}
	log := assemble(topic, findings)
	compare(history, log, findings)
	comparePrinted(printed, workspace, log, findings)
	local := compareLocalReads(history, log, findings)
	videos := settled(log, findings)
	fmt.Printf("topic       %d records, %d of them repeats; %d events that count, %d rejections; %d commits stand behind another in their record\n", len(topic), log.duplicate, len(log.events), log.rejected, log.together)
	for _, number := range slices.Sorted(maps.Keys(log.partitions)) {
		fmt.Printf("partition %d %d events\n", number, log.partitions[number].events)
	}
	fmt.Printf("local reads %d\n", local)
	fmt.Printf("videos      %d that workers had to answer\n", videos)
	started := time.Now()
	result, checked := judge(history, log, picture)
	fmt.Printf("porcupine   %s: %d operations in %.1f s\n", result, checked, time.Since(started).Seconds())
	if result != porcupine.Ok {
		findings.add("the history is not known to be linearizable: %s", result)
	}
	for _, finding := range findings.listed {
		fmt.Println("WRONG      ", finding)
	}
	if findings.count > 0 {
		return fmt.Errorf("%d things are wrong", findings.count)
	}
	return nil
}

// judge asks Porcupine; a history that is not linearizable is drawn.
func judge(history []Operation, log *Log, picture string) (porcupine.CheckResult, int) {
	all := operations(append(history, whole(log, history)...), log)
	result := porcupine.CheckOperationsTimeout(model(), all, searchTime)
	if result == porcupine.Illegal && picture != "" {
		_, info := porcupine.CheckOperationsVerbose(model(), all, searchTime)
		if err := porcupine.VisualizePath(model(), info, picture); err != nil {
			fmt.Fprintln(os.Stderr, "check: no picture:", err)
		}
	}
	return result, len(all)
}
