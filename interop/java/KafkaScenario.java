import java.lang.reflect.Method;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** kafka-clients, in whatever release it is compiled against: nothing here is newer than 2.8. */
final class KafkaScenario {
    static final String MAIN = Report.PREFIX + "main";
    static final String TIMES = Report.PREFIX + "time";
    static final String TX = Report.PREFIX + "tx";
    static final String LARGE = Report.PREFIX + "large";
    static final String TABLE = Report.PREFIX + "table";
    static final List<String> CODECS = Arrays.asList("none", "gzip", "snappy", "lz4", "zstd");
    static final int COUNT = 60;

    public static void main(String[] args) throws Exception {
        try (AdminClient admin = AdminClient.create(config())) {
            Report.judge("codecs", () -> codecs(admin));
            Report.judge("group", KafkaScenario::group);
            Report.judge("resume", KafkaScenario::resume);
            Report.judge("time", () -> times(admin));
            Report.judge("large", () -> large(admin));
            Report.judge("transactions", () -> transactions(admin));
            Report.judge("errors", () -> refusals(admin));
            Report.judge("topics", () -> topics(admin));
        }
        if (!Report.IN.isEmpty()) {
            Report.judge("from-kinesis", () -> Report.expectCrossed(consume(Report.IN, Report.PREFIX + "in", 40)));
            List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
            for (String[] r : Report.crossRecords()) {
                records.add(new ProducerRecord<>(Report.OUT, r[0].getBytes(), r[1].getBytes()));
            }
            produce(records);
        }
    }

    /** config returns client properties: the bootstrap address and the pairs given. */
    static Properties config(String... pairs) {
        Properties p = new Properties();
        p.put("bootstrap.servers", System.getenv("KAFKA"));
        for (int i = 0; i < pairs.length; i += 2) {
            p.put(pairs[i], pairs[i + 1]);
        }
        return p;
    }

    static void create(AdminClient admin, String topic, int partitions) throws Exception {
        admin.createTopics(Collections.singleton(new NewTopic(topic, partitions, (short) 1))).all().get();
    }

    static void produce(List<ProducerRecord<byte[], byte[]>> records, String... pairs) throws Exception {
        Properties p = config("acks", "all", "linger.ms", "5", "enable.idempotence", "true");
        p.putAll(config(pairs));
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (ProducerRecord<byte[], byte[]> r : records) {
                sent.add(producer.send(r));
            }
            producer.flush();
            for (Future<RecordMetadata> f : sent) {
                f.get();
            }
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer(String... pairs) {
        Properties p = config("auto.offset.reset", "earliest", "enable.auto.commit", "false");
        p.putAll(config(pairs));
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** consume reads count records as a member of a group, commits, and leaves. */
    static List<String[]> consume(String topic, String group, int count) {
        List<String[]> got = new ArrayList<>();
        String assignor = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
        try (KafkaConsumer<byte[], byte[]> c = consumer("group.id", group, "partition.assignment.strategy", assignor)) {
            c.subscribe(Collections.singleton(topic));
            long deadline = System.currentTimeMillis() + 30_000;
            while (got.size() < count && System.currentTimeMillis() < deadline) {
                for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(200))) {
                    got.add(new String[] {new String(r.key()), new String(r.value())});
                }
            }
            c.commitSync();
        }
        return got;
    }

    static String value(String label, int i) {
        return label + ":" + i + ":" + String.join("", Collections.nCopies(100, "x"));
    }

    static List<ProducerRecord<byte[], byte[]>> labelled(String label) {
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int i = 0; i < COUNT; i++) {
            records.add(new ProducerRecord<>(MAIN, ("key-" + i % 7).getBytes(), value(label, i).getBytes()));
        }
        return records;
    }

    /** expectInOrder checks that every label's records came once, those of a key in the order they were sent. */
    static void expectInOrder(List<String[]> got, List<String> labels) {
        Set<String> seen = new HashSet<>();
        Map<String, Integer> last = new HashMap<>();
        for (String[] r : got) {
            String[] parts = r[1].split(":");
            int number = Integer.parseInt(parts[1]);
            Report.expect(r[1], value(parts[0], number), "value");
            Report.expect(seen.add(r[1]), true, "read once: " + parts[0] + ":" + number);
            Integer before = last.put(r[0] + "/" + parts[0], number);
            Report.expect(before == null || before < number, true, "order of " + r[0] + " at " + number);
        }
        Report.expect(got.size(), labels.size() * COUNT, "records");
    }

    static String codecs(AdminClient admin) throws Exception {
        create(admin, MAIN, 3);
        for (String codec : CODECS) {
            produce(labelled(codec), "compression.type", codec);
        }
        return String.join(" ", CODECS);
    }

    static String group() {
        expectInOrder(consume(MAIN, Report.PREFIX + "group", COUNT * CODECS.size()), CODECS);
        return "cooperative sticky assignor";
    }

    static String resume() throws Exception {
        produce(labelled("later"));
        expectInOrder(consume(MAIN, Report.PREFIX + "group", COUNT), Collections.singletonList("later"));
        return "";
    }

    static String times(AdminClient admin) throws Exception {
        create(admin, TIMES, 1);
        long base = System.currentTimeMillis() - 60_000;
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            records.add(new ProducerRecord<>(TIMES, 0, base + i * 1000L, null, new byte[] {(byte) i}));
        }
        produce(records);
        TopicPartition partition = new TopicPartition(TIMES, 0);
        try (KafkaConsumer<byte[], byte[]> c = consumer()) {
            long[][] cases = {{base - 1, 0}, {base + 3000, 3}, {base + 3001, 4}};
            for (long[] at : cases) {
                long got = c.offsetsForTimes(Collections.singletonMap(partition, at[0])).get(partition).offset();
                Report.expect(got, at[1], "offset at " + (at[0] - base) + " ms");
            }
            Set<TopicPartition> one = Collections.singleton(partition);
            Report.expect(c.offsetsForTimes(Collections.singletonMap(partition, base + 60_001)).get(partition), null, "offset after the end");
            Report.expect(c.beginningOffsets(one).get(partition) + ".." + c.endOffsets(one).get(partition), "0..10", "bounds");
        }
        return "";
    }

    static byte[] random(int size) {
        byte[] bytes = new byte[size];
        new Random(size).nextBytes(bytes);
        return bytes;
    }

    static String large(AdminClient admin) throws Exception {
        create(admin, LARGE, 1);
        byte[] value = random(1_000_000);
        produce(Collections.singletonList(new ProducerRecord<>(LARGE, value)));
        try (KafkaConsumer<byte[], byte[]> c = consumer()) {
            c.assign(Collections.singleton(new TopicPartition(LARGE, 0)));
            long deadline = System.currentTimeMillis() + 20_000;
            while (System.currentTimeMillis() < deadline) {
                for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(500))) {
                    Report.expect(Arrays.equals(r.value(), value), true, "the bytes come back");
                    return "";
                }
            }
        }
        throw new AssertionError("the record does not come");
    }

    static KafkaProducer<byte[], byte[]> transactional() {
        KafkaProducer<byte[], byte[]> p = new KafkaProducer<>(config("transactional.id", Report.PREFIX + "tx"), new ByteArraySerializer(), new ByteArraySerializer());
        p.initTransactions();
        return p;
    }

    /** write begins a transaction with five records of a label. */
    static void write(KafkaProducer<byte[], byte[]> producer, String label) {
        producer.beginTransaction();
        for (int i = 0; i < 5; i++) {
            producer.send(new ProducerRecord<>(TX, i % 2, null, (label + i).getBytes()));
        }
    }

    /** committed returns what is read of TX up to its end, in order of text. */
    static String committed() {
        List<String> got = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> c = consumer("isolation.level", "read_committed")) {
            List<TopicPartition> all = Arrays.asList(new TopicPartition(TX, 0), new TopicPartition(TX, 1));
            c.assign(all);
            c.seekToBeginning(all);
            Map<TopicPartition, Long> ends = c.endOffsets(all);
            long deadline = System.currentTimeMillis() + 20_000;
            while (all.stream().anyMatch(p -> c.position(p) < ends.get(p)) && System.currentTimeMillis() < deadline) {
                c.poll(Duration.ofMillis(100)).forEach(r -> got.add(new String(r.value())));
            }
        }
        Collections.sort(got);
        return String.join(" ", got);
    }

    /** Commit, abort, offsets in a transaction, and a successor that fences. */
    static String transactions(AdminClient admin) throws Exception {
        create(admin, TX, 2);
        String group = Report.PREFIX + "tx-group";
        try (KafkaProducer<byte[], byte[]> first = transactional()) {
            write(first, "a");
            first.commitTransaction();
            write(first, "b");
            first.flush();
            first.abortTransaction();
            Report.expect(committed(), "a0 a1 a2 a3 a4", "after a commit and an abort");
            try (KafkaConsumer<byte[], byte[]> c = consumer("group.id", group, "isolation.level", "read_committed")) {
                c.subscribe(Collections.singleton(TX));
                int got = 0;
                for (long deadline = System.currentTimeMillis() + 20_000; got < 5 && System.currentTimeMillis() < deadline; ) {
                    got += c.poll(Duration.ofMillis(200)).count();
                }
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                for (TopicPartition p : c.assignment()) {
                    offsets.put(p, new OffsetAndMetadata(c.position(p)));
                }
                write(first, "c");
                first.sendOffsetsToTransaction(offsets, c.groupMetadata());
                first.commitTransaction();
                Report.expect(c.committed(c.assignment()), offsets, "offsets of the transaction");
            }
            write(first, "d");
            first.flush();
            try (KafkaProducer<byte[], byte[]> second = transactional()) {
                Throwable e = Report.refusal("a fenced producer's commit", () -> {
                    first.commitTransaction();
                    return "";
                });
                Report.expect(e.getClass().getSimpleName(), "ProducerFencedException", "refusal of a fenced producer");
                write(second, "e");
                second.commitTransaction();
            }
        }
        Report.expect(committed(), "a0 a1 a2 a3 a4 c0 c1 c2 c3 c4 e0 e1 e2 e3 e4", "in the end");
        admin.deleteTopics(Collections.singleton(TX)).all().get();
        return "";
    }

    static String refusals(AdminClient admin) {
        List<ProducerRecord<byte[], byte[]>> tooLarge = Collections.singletonList(new ProducerRecord<>(LARGE, random(3_000_000)));
        Throwable e = Report.refusal("a record of 3 MB", () -> {
            produce(tooLarge, "max.request.size", "8000000");
            return "";
        });
        Report.expect(e.getClass().getSimpleName(), "RecordTooLargeException", "refusal of a record of 3 MB");
        e = Report.refusal("a second creation", () -> {
            create(admin, MAIN, 1);
            return "";
        });
        Report.expect(e.getClass().getSimpleName(), "TopicExistsException", "refusal of a second creation");
        e = Report.refusal("an unknown topic", () -> {
            describe(admin, Report.PREFIX + "absent");
            return "";
        });
        Report.expect(e.getClass().getSimpleName(), "UnknownTopicOrPartitionException", "refusal of an unknown topic");
        return "";
    }

    /** describe asks by reflection: 2.8 only has all(), 4 only has allTopicNames(). */
    static TopicDescription describe(AdminClient admin, String topic) throws Exception {
        Object result = admin.describeTopics(Collections.singleton(topic));
        Method all;
        try {
            all = result.getClass().getMethod("allTopicNames");
        } catch (NoSuchMethodException e) {
            all = result.getClass().getMethod("all");
        }
        Map<?, ?> answer = (Map<?, ?>) ((Future<?>) all.invoke(result)).get();
        return (TopicDescription) answer.get(topic);
    }

    static String topics(AdminClient admin) throws Exception {
        Report.expect(describe(admin, MAIN).partitions().size(), 3, "partitions");
        admin.deleteTopics(Arrays.asList(MAIN, TIMES, LARGE)).all().get();
        Set<String> left = new HashSet<>(admin.listTopics().names().get());
        left.retainAll(Arrays.asList(MAIN, TIMES, LARGE));
        Report.expect(left, Collections.emptySet(), "topics after their deletion");
        return table(admin);
    }

    /** table writes keys again and again, in all codecs, and reads the topic as a table until it is compacted: it has the last values all the time. */
    static String table(AdminClient admin) throws Exception {
        Map<String, String> configs = new HashMap<>();
        configs.put("cleanup.policy", "compact");
        configs.put("segment.ms", "1");
        configs.put("min.cleanable.dirty.ratio", "0.01");
        admin.createTopics(Collections.singleton(new NewTopic(TABLE, 1, (short) 1).configs(configs))).all().get();
        Map<String, String> want = new HashMap<>();
        int sent = 0;
        for (int round = 0; round < 10; round++) {
            List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
            for (int i = 0; i < 20; i++, sent++) {
                String key = "key-" + i, value = value("round" + round, i);
                boolean gone = (i + round) % 6 == 0;
                records.add(new ProducerRecord<>(TABLE, key.getBytes(), gone ? null : value.getBytes()));
                if (gone) {
                    want.remove(key);
                } else {
                    want.put(key, value);
                }
            }
            produce(records, "compression.type", CODECS.get(round % CODECS.size()));
        }
        long deadline = System.currentTimeMillis() + 60_000;
        for (int read = sent; read > 60; ) { // the last batch is left as it is, beside one record of each key
            if (System.currentTimeMillis() > deadline) {
                throw new AssertionError(read + " of " + sent + " records are left after a minute");
            }
            Thread.sleep(1000);
            Map<String, String> got = new HashMap<>();
            read = readTable(got);
            Report.expect(got, want, "the table of " + read + " records");
        }
        return "compacted topic read as a table";
    }

    /** readTable reads the topic from its beginning to its end and returns how many records that were. */
    static int readTable(Map<String, String> into) {
        TopicPartition partition = new TopicPartition(TABLE, 0);
        int read = 0;
        try (KafkaConsumer<byte[], byte[]> c = consumer()) {
            c.assign(Collections.singleton(partition));
            c.seekToBeginning(Collections.singleton(partition));
            long end = c.endOffsets(Collections.singleton(partition)).get(partition);
            long deadline = System.currentTimeMillis() + 20_000;
            while (c.position(partition) < end) {
                if (System.currentTimeMillis() > deadline) {
                    throw new AssertionError("reading stalls at offset " + c.position(partition) + " of " + end);
                }
                for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(200))) {
                    read++;
                    if (r.value() == null) {
                        into.remove(new String(r.key()));
                    } else {
                        into.put(new String(r.key()), new String(r.value()));
                    }
                }
            }
        }
        return read;
    }
}
