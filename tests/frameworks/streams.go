package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

const (
	linesTopic, countsTopic = "lines", "counts"
	wordCountGroup          = "word-count" // the application's id
	wordsOfLine             = 10
	linesAtOnce             = 200
	// patience is how long the counts may take to be complete after the last kill: a transaction that was left open ends after 10 s, a session after 6.
	patience = 3 * time.Minute
)

// streamsClassic counts words in one process, whose threads are members of a classic group.
func streamsClassic(ctx context.Context, r *rig) error { return wordCount(ctx, r, "classic", 1) }

// streamsGroup counts words in two processes that stand by for each other: a streams group of KIP-1071.
func streamsGroup(ctx context.Context, r *rig) error { return wordCount(ctx, r, "streams", 2) }

// wordCount counts words exactly once across kills: of every word, read_committed gives the counts 1 to n in order, each once.
func wordCount(ctx context.Context, r *rig, protocol string, processes int) error {
	java, err := streamsPrograms(ctx, r, protocol, processes)
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.kafka), kgo.RetryTimeout(time.Minute))
	if err != nil {
		return err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	for _, topic := range []string{linesTopic, countsTopic} {
		if _, err := admin.CreateTopic(ctx, 4, 1, nil, topic); err != nil {
			return err
		}
	}
	apps := make([]*process.Process, processes)
	for i := range apps {
		if apps[i], err = process.Start(java[i]); err != nil {
			return err
		}
		defer func() { apps[i].Kill() }()
	}
	want := map[string]int64{}
	for kill := range r.kills {
		if err := writeLines(ctx, r, cl, want); err != nil {
			return err
		}
		i := r.rnd.IntN(processes)
		select {
		case <-time.After(time.Duration(500+r.rnd.IntN(5000)) * time.Millisecond):
		case <-apps[i].Done():
			return fmt.Errorf("the word count ended: %s", apps[i].Tail(4000))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if r.node != nil && kill%3 == 2 {
			fmt.Println("kill -9 of the node")
			r.node.Kill()
			if _, err := r.node.Start(ctx); err != nil {
				return err
			}
			continue
		}
		fmt.Println("kill -9 of the word count")
		apps[i].Kill()
		if apps[i], err = process.Start(java[i]); err != nil {
			return err
		}
	}
	if err := writeLines(ctx, r, cl, want); err != nil {
		return err
	}
	if err := judgeCounts(ctx, r, apps[0], want); err != nil {
		return err
	}
	groups, err := admin.ListGroupsByType(ctx, []string{protocol})
	if err == nil && !slices.Contains(groups.Groups(), wordCountGroup) {
		err = fmt.Errorf("the application is no %s group", protocol)
	}
	return err
}

// streamsPrograms are processes of the word count, each with a state of its own.
func streamsPrograms(ctx context.Context, r *rig, protocol string, processes int) ([]process.Command, error) {
	root, err := process.ModuleRoot()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(root, "tests", "frameworks", "java")
	jars, err := kit.Maven(ctx, "kafka-streams", filepath.Join(dir, "streams-pom.xml"))
	if err != nil {
		return nil, err
	}
	classes, err := kit.Javac(ctx, "kafka-streams-classes", jars, filepath.Join(dir, "WordCount.java"))
	if err != nil {
		return nil, err
	}
	path := classes + string(os.PathListSeparator) + filepath.Join(jars, "*")
	var all []process.Command
	for i := range processes {
		name := fmt.Sprintf("word-count-%d", i)
		all = append(all, process.Command{
			Name: name, Path: "java", Log: filepath.Join(r.dir, name+".log"),
			Args: []string{
				"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx384m", "-Djava.io.tmpdir=" + r.dir, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", path,
				"WordCount", r.kafka, filepath.Join(r.dir, "state-"+name), protocol, fmt.Sprintf("localhost:%d", 10_000+i),
			},
		})
	}
	return all, nil
}

// writeLines produces lines of random words and adds up what they come to.
func writeLines(ctx context.Context, r *rig, cl *kgo.Client, want map[string]int64) error {
	var records []*kgo.Record
	for range linesAtOnce {
		words := make([]string, wordsOfLine)
		for i := range words {
			words[i] = fmt.Sprint("word-", r.rnd.IntN(50))
			want[words[i]]++
		}
		records = append(records, &kgo.Record{Topic: linesTopic, Key: fmt.Append(nil, r.rnd.IntN(1000)), Value: []byte(strings.Join(words, " "))})
	}
	return cl.ProduceSync(ctx, records...).FirstErr()
}

// judgeCounts reads the counts until they are complete.
func judgeCounts(ctx context.Context, r *rig, app *process.Process, want map[string]int64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("counts are not complete after %s", patience))
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.kafka), kgo.ConsumeTopics(countsTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer cl.Close()
	total, read := int64(0), int64(0)
	for _, n := range want {
		total += n
	}
	got := map[string]int64{}
	for read < total {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %d of %d; %s", context.Cause(ctx), read, total, app.Tail(4000))
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			word, count := string(record.Key), int64(binary.BigEndian.Uint64(record.Value))
			if count != got[word]+1 {
				return fmt.Errorf("%s has count %d after %d, at offset %d of partition %d", word, count, got[word], record.Offset, record.Partition)
			}
			got[word] = count
			read++
		}
	}
	for word, n := range want {
		if got[word] != n {
			return fmt.Errorf("%s was counted %d times, not %d", word, got[word], n)
		}
	}
	fmt.Printf("%d words counted exactly once across %d kills\n", total, r.kills)
	return nil
}
