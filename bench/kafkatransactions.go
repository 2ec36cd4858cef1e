package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// transactionRecords is how many records each transaction has, of transactionBytes each.
	transactionRecords = 100
	transactionBytes   = 100
	// transactionPatience bounds one begin, one flush and one end together.
	transactionPatience = 30 * time.Second
)

// transactions commits for a fixed time with one producer, and with sixteen side by side.
func (t *kafkaTurn) transactions() error {
	if err := t.topic("transactions", 6); err != nil {
		return err
	}
	for _, producers := range []int{1, 16} {
		if err := t.transactionsRow(producers); err != nil {
			return err
		}
	}
	return nil
}

// transactionsRow adds the rows of so many producers: commits, how long each took from asking for it to its answer, and what the server spent.
func (t *kafkaTurn) transactionsRow(producers int) error {
	var took []time.Duration
	var lasted time.Duration
	cost, err := t.cost(func() (err error) {
		took, lasted, err = t.commit(producers)
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(took)
	at := func(share float64) float64 { return took[int(share*float64(len(took)-1))].Seconds() * 1000 }
	name := fmt.Sprintf("transactions, %d producers", producers)
	t.row(name, float64(len(took))/lasted.Seconds(), "commits/s")
	t.row(name+", commit p50", at(0.5), "ms")
	t.row(name+", commit p99", at(0.99), "ms")
	t.row(name+", server CPU", cost.Seconds()*1e6/float64(len(took)), "us/commit")
	return nil
}

// commit has producers run transactions until the time is over, and returns how long each commit took and how long all lasted.
func (t *kafkaTurn) commit(producers int) ([]time.Duration, time.Duration, error) {
	all := make([][]time.Duration, producers)
	errs := make([]error, producers)
	began := time.Now()
	until := began.Add(time.Duration(t.options.seconds) * time.Second)
	var work sync.WaitGroup
	for i := range producers {
		work.Go(func() {
			c, err := kgo.NewClient(kgo.SeedBrokers(t.server.address()), kgo.DefaultProduceTopic("transactions"),
				kgo.TransactionalID(fmt.Sprintf("bench-%d-%d", producers, i)), kgo.ProducerLinger(0))
			if err != nil {
				errs[i] = err
				return
			}
			defer c.Close()
			errs[i] = meet(t.ctx, c)
			for errs[i] == nil && time.Now().Before(until) {
				var d time.Duration
				if d, errs[i] = oneTransaction(t.ctx, c); errs[i] == nil {
					all[i] = append(all[i], d)
				}
			}
		})
	}
	work.Wait()
	took := slices.Concat(all...)
	if len(took) == 0 {
		errs = append(errs, errors.New("no transaction was committed"))
	}
	return took, time.Since(began), errors.Join(errs...)
}

// meet has a client learn of the topic in a transaction that it aborts. franz-go 1.22 may not have told the part of it that ends transactions of the first
// records' partitions when those are acknowledged, and what ends before that is aborted, whatever was asked for.
func meet(ctx context.Context, c *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, transactionPatience)
	defer cancel()
	if err := c.BeginTransaction(); err != nil {
		return err
	}
	for range 2 {
		if err := c.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err != nil {
			return err
		}
	}
	return c.EndTransaction(ctx, kgo.TryAbort)
}

// oneTransaction produces and commits, and returns how long the commit took once all records were acknowledged.
func oneTransaction(ctx context.Context, c *kgo.Client) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, transactionPatience)
	defer cancel()
	if err := c.BeginTransaction(); err != nil {
		return 0, err
	}
	payload := bytes.Repeat([]byte("x"), transactionBytes)
	records := make([]*kgo.Record, transactionRecords)
	for i := range records {
		records[i] = kgo.SliceRecord(payload)
	}
	if err := c.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return 0, err
	}
	asked := time.Now()
	err := c.EndTransaction(ctx, kgo.TryCommit)
	return time.Since(asked), err
}
