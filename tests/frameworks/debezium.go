package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

const (
	// debeziumArtifact is the connector as it is handed out: a directory of jars for Connect's plugin.path. It runs on Java 17.
	debeziumArtifact = "io.debezium:debezium-connector-postgres:3.4.3.Final:tar.gz:plugin"

	ordersTopic, accountsTopic = "shop.public.orders", "shop.public.accounts" // the second is compacted
	heartbeatTopic             = "__debezium-heartbeat.shop"
	ordersParts                = 3
	rowsBefore, rowChanges     = 100, 150 // of each table: what the snapshot finds, and what changes at once
)

// debezium captures what changes in two tables of a PostgreSQL: rows are inserted, updated and deleted, also while node or worker is dead. One table's
// topic has every change of each row in order, at least once, or exactly once where the worker was told so. The other's topic is compacted, and its last
// record of each row is what the table has.
func debezium(ctx context.Context, r *rig) error {
	db, err := startPostgres(ctx)
	if err != nil {
		return err
	}
	defer db.stop()
	once := r.rnd.IntN(2) == 0
	fmt.Println("exactly once:", once)
	address, worker, err := debeziumWorker(ctx, r, once)
	if err != nil {
		return err
	}
	s := &shop{db: db, orders: &table{name: "orders"}, accounts: &table{name: "accounts"}}
	if err := s.create(r); err != nil {
		return err
	}
	p, err := process.Start(worker)
	if err != nil {
		return err
	}
	defer func() { p.Kill() }()
	if err := r.connector(ctx, p, address, "shop", debeziumConnector(db, once)); err != nil {
		return err
	}
	if err := awaitStream(ctx, s, address, p); err != nil {
		return err
	}
	for range r.kills {
		if err := s.change(r, rowChanges); err != nil {
			return err
		}
		time.Sleep(time.Duration(r.rnd.IntN(4000)) * time.Millisecond)
		if r.node != nil && r.rnd.IntN(2) == 0 {
			fmt.Println("kill -9 of the node")
			r.node.Kill()
			if err := s.change(r, rowChanges); err != nil {
				return err
			}
			if _, err := r.node.Start(ctx); err != nil {
				return err
			}
			continue
		}
		fmt.Println("kill -9 of the worker")
		p.Kill()
		if err := s.change(r, rowChanges); err != nil {
			return err
		}
		if p, err = process.Start(worker); err != nil {
			return err
		}
	}
	if err := s.touch(); err != nil { // the last change
		return err
	}
	return s.judge(ctx, r, p, once)
}

func debeziumWorker(ctx context.Context, r *rig, once bool) (string, process.Command, error) {
	plugins, err := kit.MavenUnpack(ctx, "debezium", debeziumArtifact)
	if err != nil {
		return "", process.Command{}, err
	}
	support := map[bool]string{true: "enabled", false: "disabled"}[once]
	return connectWorker(ctx, r, "exactly.once.source.support="+support, "plugin.path="+plugins)
}

func debeziumConnector(db *postgres, once bool) map[string]string {
	host, port, _ := strings.Cut(db.address, ":")
	config := map[string]string{
		"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1", "plugin.name": "pgoutput",
		"database.hostname": host, "database.port": port, "database.user": "postgres", "database.password": "none", "database.dbname": "postgres",
		"topic.prefix": "shop", "table.include.list": "public.orders,public.accounts", "heartbeat.interval.ms": "500",
		"topic.creation.default.partitions": fmt.Sprint(ordersParts), "topic.creation.default.replication.factor": "1",
		"topic.creation.groups": "compacted", "topic.creation.compacted.include": "shop[.]public[.]accounts",
		"topic.creation.compacted.cleanup.policy": "compact", "topic.creation.compacted.partitions": "1", "topic.creation.compacted.replication.factor": "1",
		"slot.retry.delay.ms": "1000", // until PostgreSQL has seen the killed worker go
	}
	for _, c := range []string{"key", "value"} {
		config[c+".converter"] = "org.apache.kafka.connect.json.JsonConverter"
		config[c+".converter.schemas.enable"] = "false"
	}
	if once {
		config["exactly.once.support"] = "required"
	}
	return config
}

// awaitStream waits until the connector's offsets say that it has left its snapshot behind, which a kill would have it begin anew, without what the rows
// were in between.
func awaitStream(ctx context.Context, s *shop, address string, worker *process.Process) error {
	answer := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(500 * time.Millisecond) {
		if err := s.touch(); err != nil {
			return err
		}
		resp, err := http.Get("http://" + address + "/connectors/shop/offsets")
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		answer = string(text)
		var kept struct {
			Offsets []struct{ Offset map[string]any }
		}
		if json.Unmarshal(text, &kept) == nil && len(kept.Offsets) == 1 && kept.Offsets[0].Offset["lsn_commit"] != nil {
			return nil
		}
	}
	return errors.Join(context.Cause(ctx), fmt.Errorf("the connector is not past its snapshot: %s; %s", answer, worker.Tail(4000)))
}

// change is what becomes of a row. The number of a change is in the row; that of a deletion is the one that the row had.
type change struct {
	op string // c, u, d as Debezium names them; "" = the record without value that follows a deletion
	n  int64
}

// table is what was written into one.
type table struct {
	name    string
	rows    map[int64]int64    // their numbers by id
	changes map[int64][]change // by id, in order
}

// shop is the tables and the database that they are in.
type shop struct {
	db               *postgres
	orders, accounts *table
	last             int64 // number given to a change
}

// markRow is changed by touch alone, also during the snapshot, so that not all its changes need be in a topic.
const markRow = 0

func (s *shop) create(r *rig) error {
	for _, t := range []*table{s.orders, s.accounts} {
		t.rows, t.changes = map[int64]int64{}, map[int64][]change{}
		if err := s.db.exec(fmt.Sprintf("CREATE TABLE %[1]s (id bigint PRIMARY KEY, n bigint); ALTER TABLE %[1]s REPLICA IDENTITY FULL", t.name)); err != nil {
			return err
		}
	}
	if err := s.touch(); err != nil {
		return err
	}
	if err := s.change(r, rowsBefore); err != nil {
		return err
	}
	for _, t := range []*table{s.orders, s.accounts} { // the snapshot has the rows, not what was before
		clear(t.changes)
		for id, n := range t.rows {
			t.changes[id] = []change{{"c", n}}
		}
	}
	return nil
}

// touch changes the row that marks how far the topics are.
func (s *shop) touch() error {
	for _, t := range []*table{s.orders, s.accounts} {
		if err := s.db.exec(s.put(t, markRow)); err != nil {
			return err
		}
	}
	return nil
}

// change inserts, updates and deletes random rows, a few of them at a time.
func (s *shop) change(r *rig, n int) error {
	for _, t := range []*table{s.orders, s.accounts} {
		for done := 0; done < n; {
			var sql []string
			for range 1 + r.rnd.IntN(5) {
				id := 1 + r.rnd.Int64N(60)
				if _, ok := t.rows[id]; ok && r.rnd.IntN(3) == 0 {
					sql = append(sql, t.remove(id))
				} else {
					sql = append(sql, s.put(t, id))
				}
				done++
			}
			if err := s.db.exec(strings.Join(sql, "; ")); err != nil {
				return err
			}
		}
	}
	return nil
}

// put returns the statement that inserts or updates a row.
func (s *shop) put(t *table, id int64) string {
	s.last++
	_, there := t.rows[id]
	t.rows[id] = s.last
	if there {
		t.changes[id] = append(t.changes[id], change{"u", s.last})
		return fmt.Sprintf("UPDATE %s SET n = %d WHERE id = %d", t.name, s.last, id)
	}
	t.changes[id] = append(t.changes[id], change{"c", s.last})
	return fmt.Sprintf("INSERT INTO %s VALUES (%d, %d)", t.name, id, s.last)
}

func (t *table) remove(id int64) string {
	t.changes[id] = append(t.changes[id], change{"d", t.rows[id]}, change{"", 0})
	delete(t.rows, id)
	return fmt.Sprintf("DELETE FROM %s WHERE id = %d", t.name, id)
}

// judge reads both topics, and what they were created with.
func (s *shop) judge(ctx context.Context, r *rig, worker *process.Process, once bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the topics are not complete after %s", patience))
	defer cancel()
	if err := s.judgeOrders(ctx, r, once); err != nil {
		return fmt.Errorf("%w; %s", err, worker.Tail(4000))
	}
	if err := s.judgeAccounts(ctx, r); err != nil {
		return fmt.Errorf("%w; %s", err, worker.Tail(4000))
	}
	return judgeCreated(ctx, r)
}

// captured is a record of Debezium's.
type captured struct {
	id int64
	change
}

func decodeCaptured(record *kgo.Record) (c captured, err error) {
	type row struct{ ID, N int64 }
	var key row
	if err := json.Unmarshal(record.Key, &key); err != nil {
		return c, fmt.Errorf("key %q: %w", record.Key, err)
	}
	c.id = key.ID
	if record.Value == nil {
		return c, nil
	}
	var value struct {
		Before, After *row
		Op            string
	}
	if err := json.Unmarshal(record.Value, &value); err != nil {
		return c, fmt.Errorf("value %q: %w", record.Value, err)
	}
	state := value.After
	if c.op = value.Op; c.op == "d" {
		state = value.Before
	}
	if c.op == "r" { // what the snapshot read
		c.op = "c"
	}
	if state == nil || state.ID != c.id {
		return c, fmt.Errorf("key %s has value %s", record.Key, record.Value)
	}
	c.n = state.N
	return c, nil
}

// readCaptured gives the records of a topic to do until it says that it has all.
func readCaptured(ctx context.Context, r *rig, topic string, do func(captured) (bool, error)) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.kafka), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer cl.Close()
	for all := false; !all; {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %s", context.Cause(ctx), topic)
		}
		for _, record := range fetches.Records() {
			c, err := decodeCaptured(record)
			if err == nil {
				all, err = do(c)
			}
			if err != nil {
				return fmt.Errorf("%s, partition %d, offset %d: %w", topic, record.Partition, record.Offset, err)
			}
		}
	}
	return nil
}

// judgeOrders wants every change of each row in order. A connector that was killed may go back, but it leaves nothing out on its way on.
func (s *shop) judgeOrders(ctx context.Context, r *rig, once bool) error {
	delete(s.orders.changes, markRow)
	missing := 0
	for _, list := range s.orders.changes {
		missing += len(list)
	}
	total, again := missing, 0
	next, at := map[int64]int{}, map[int64]int{} // of each row: the first change that was not seen yet, the one seen last
	err := readCaptured(ctx, r, ordersTopic, func(c captured) (bool, error) {
		if c.id == markRow {
			return missing == 0, nil
		}
		list := s.orders.changes[c.id]
		i := slices.Index(list, c.change)
		if c.op == "" {
			i = at[c.id] + 1
		}
		switch {
		case i < 0 || i > next[c.id] || i >= len(list) || list[i] != c.change:
			return false, fmt.Errorf("row %d: %+v after %v of %v", c.id, c.change, list[:next[c.id]], list)
		case i == next[c.id]:
			next[c.id]++
			missing--
		case once:
			return false, fmt.Errorf("row %d: %+v again", c.id, c.change)
		default:
			again++
		}
		at[c.id] = i
		return missing == 0, nil
	})
	if err != nil {
		return fmt.Errorf("%d of %d changes are missing: %w", missing, total, err)
	}
	fmt.Printf("orders: %d changes of %d rows in order, %d of them again, across %d kills\n", total, len(next), again, r.kills)
	return nil
}

// judgeAccounts wants the last record of each row to be what the table has, once the last change is there.
func (s *shop) judgeAccounts(ctx context.Context, r *rig) error {
	got := map[int64]int64{}
	err := readCaptured(ctx, r, accountsTopic, func(c captured) (bool, error) {
		got[c.id] = c.n
		if c.op == "d" || c.op == "" {
			delete(got, c.id)
		}
		return got[markRow] == s.accounts.rows[markRow], nil
	})
	if err != nil {
		return err
	}
	if !maps.Equal(got, s.accounts.rows) {
		return fmt.Errorf("the compacted topic has %v, the table %v", got, s.accounts.rows)
	}
	fmt.Printf("accounts: %d rows as they are in the table\n", len(got))
	return nil
}

// judgeCreated wants the topics to be as the connector had them created.
func judgeCreated(ctx context.Context, r *rig) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.kafka))
	if err != nil {
		return err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	topics, err := admin.ListTopics(ctx, ordersTopic, accountsTopic, heartbeatTopic)
	if err != nil {
		return err
	}
	for topic, parts := range map[string]int{ordersTopic: ordersParts, accountsTopic: 1, heartbeatTopic: ordersParts} {
		if n := len(topics[topic].Partitions); n != parts {
			return fmt.Errorf("%s has %d partitions, not %d", topic, n, parts)
		}
	}
	for topic, policy := range map[string]string{ordersTopic: "delete", accountsTopic: "compact", "connect-offsets": "compact"} {
		configs, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return err
		}
		for _, c := range configs[0].Configs {
			if c.Key == "cleanup.policy" && c.MaybeValue() != policy {
				return fmt.Errorf("%s is kept by %s, not %s", topic, c.MaybeValue(), policy)
			}
		}
	}
	return nil
}
