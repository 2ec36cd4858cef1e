// Package judge is what the Go scenarios share: how a finding is reported, and the records they are judged with. See the runner in ../.. for the
// lines and the environment.
package judge

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
)

// The environment of every scenario.
var (
	Kafka  = os.Getenv("KAFKA")
	Prefix = os.Getenv("PREFIX")
	In     = os.Getenv("IN")
	Out    = os.Getenv("OUT")
)

// Record is a key and a value.
type Record struct{ Key, Value string }

// Run judges one capability: what the scenario returns is the detail of an ok, its error that of a failure.
func Run(capability string, scenario func() (string, error)) {
	detail, err := scenario()
	if err != nil {
		fmt.Println("@", capability, "fail", strings.Join(strings.Fields(err.Error()), " "))
		return
	}
	fmt.Println("@", capability, "ok", detail)
}

// None says that the client has no such thing.
func None(capability, why string) { fmt.Println("@", capability, "none", why) }

// Expect returns an error unless got is what was wanted.
func Expect[T comparable](got, want T, what string) error {
	if got != want {
		return fmt.Errorf("%s: %v instead of %v", what, got, want)
	}
	return nil
}

// Count is how many records a codec is judged with.
const Count = 60

// Labelled returns Count records of seven keys, numbered, long enough to be worth compressing.
func Labelled(label string) []Record {
	records := make([]Record, Count)
	for i := range records {
		records[i] = Record{fmt.Sprintf("key-%d", i%7), label + ":" + strconv.Itoa(i) + ":" + strings.Repeat("x", 100)}
	}
	return records
}

// InOrder checks that every label's records were read once, those of a key in the order they were sent.
func InOrder(got []Record, labels ...string) error {
	missing := map[Record]bool{}
	for _, l := range labels {
		for _, r := range Labelled(l) {
			missing[r] = true
		}
	}
	last := map[string]int{}
	for _, r := range got {
		if !missing[r] {
			return fmt.Errorf("%q was not sent, or came twice", r.Value[:min(len(r.Value), 20)])
		}
		delete(missing, r)
		parts := strings.Split(r.Value, ":")
		number, err := strconv.Atoi(parts[1])
		if err != nil {
			return err
		}
		if before, ok := last[r.Key+parts[0]]; ok && before >= number {
			return fmt.Errorf("%s of %s: %d after %d", r.Key, parts[0], number, before)
		}
		last[r.Key+parts[0]] = number
	}
	return Expect(len(missing), 0, "records missing")
}

// CrossRecords are the records of a crossing in the order to write them.
func CrossRecords() []Record {
	var all []Record
	for i := range 8 {
		for k := range 5 {
			key := "k" + strconv.Itoa(k)
			all = append(all, Record{key, key + ":" + strconv.Itoa(i)})
		}
	}
	return all
}

// Crossed checks that a crossing's records were read once, those of a key in order.
func Crossed(got []Record) (string, error) {
	next := map[string]int{}
	for _, r := range got {
		if err := Expect(r.Value, r.Key+":"+strconv.Itoa(next[r.Key]), "crossed record"); err != nil {
			return "", err
		}
		next[r.Key]++
	}
	return fmt.Sprintf("%d records, per key in order", len(got)), Expect(len(got), len(CrossRecords()), "records")
}

// Random returns bytes that do not compress.
func Random(size int) []byte {
	source := rand.NewChaCha8([32]byte{byte(size)})
	b := make([]byte, size)
	_, _ = source.Read(b) // never fails
	return b
}
