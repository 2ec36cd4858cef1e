import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListStreamsGroupOffsetsSpec;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.StreamsGroupDescription;
import org.apache.kafka.clients.admin.StreamsGroupMemberDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.StreamsMetadata;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/** Kafka Streams by the protocol of KIP-1071: a word count exactly once, whose processes come, go and stand by for each other, and its administration. */
final class StreamsScenario {
    static final String LINES = Report.PREFIX + "lines";
    static final String COUNTS = Report.PREFIX + "counts";
    static final String APPLICATION = Report.PREFIX + "words";
    static final int PARTITIONS = 4;
    static Path state;
    static final Map<String, Long> expected = new TreeMap<>();
    static final Map<String, Long> counted = new TreeMap<>();

    public static void main(String[] args) throws Exception {
        state = Files.createTempDirectory("streams-scenario");
        KafkaStreams[] processes = new KafkaStreams[2];
        try (Admin admin = Admin.create(config()); KafkaConsumer<String, Long> counts = counts()) {
            Report.judge("stream-tasks", () -> {
                admin.createTopics(List.of(new NewTopic(LINES, PARTITIONS, (short) 1), new NewTopic(COUNTS, PARTITIONS, (short) 1))).all().get();
                set(admin, "streams.num.standby.replicas", "1");
                write("a b c a", "b c d");
                processes[0] = start(1);
                check(counts);
                processes[1] = start(2);
                until("two processes share the tasks", () -> spread(admin) >= 2);
                write("d a", "c c b", "e f g h a");
                check(counts);
                return "repartition and changelog topics made, exactly once across a second process";
            });
            Report.judge("stream-standby", () -> {
                until("each task with state stands by", () -> standbys(admin) == PARTITIONS);
                until("each process knows what is behind the other", () -> known(processes[0]) == 2 && known(processes[1]) == 2);
                processes[0].close(Duration.ofSeconds(20));
                until("the other has all", () -> members(admin) == 2 && spread(admin) == 2 && standbys(admin) == 0);
                write("a a", "h");
                check(counts);
                return "goes on where it stood by, endpoints told";
            });
            Report.judge("stream-admin", () -> administer(admin, processes[1]));
        } finally {
            for (KafkaStreams streams : processes) {
                if (streams != null) {
                    streams.close(Duration.ofSeconds(20));
                }
            }
            try (Stream<Path> all = Files.walk(state)) {
                all.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
            }
        }
    }

    static Properties config(String... pairs) {
        Properties p = new Properties();
        p.put("bootstrap.servers", System.getenv("KAFKA"));
        for (int i = 0; i < pairs.length; i += 2) {
            p.put(pairs[i], pairs[i + 1]);
        }
        return p;
    }

    static KafkaStreams start(int process) throws Exception {
        Properties p = config(StreamsConfig.APPLICATION_ID_CONFIG, APPLICATION, StreamsConfig.GROUP_PROTOCOL_CONFIG, "streams",
            StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2, StreamsConfig.APPLICATION_SERVER_CONFIG, "process" + process + ":80",
            StreamsConfig.STATE_DIR_CONFIG, state.resolve(Integer.toString(process)).toString());
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        p.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(LINES, Consumed.with(Serdes.String(), Serdes.String()))
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
            .count(Materialized.as("words"))
            .toStream()
            .to(COUNTS, Produced.with(Serdes.String(), Serdes.Long()));
        KafkaStreams streams = new KafkaStreams(builder.build(), p);
        streams.start();
        return streams;
    }

    static void write(String... lines) throws Exception {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config(), new StringSerializer(), new StringSerializer())) {
            for (String line : lines) {
                producer.send(new ProducerRecord<>(LINES, line, line)).get();
                for (String word : line.split(" ")) {
                    expected.merge(word, 1L, Long::sum);
                }
            }
        }
    }

    static KafkaConsumer<String, Long> counts() {
        return new KafkaConsumer<>(config("isolation.level", "read_committed", "auto.offset.reset", "earliest"), new StringDeserializer(), new LongDeserializer());
    }

    /** Reads the counts until they are as expected: those of each word are 1, 2, 3... */
    static void check(KafkaConsumer<String, Long> counts) throws Exception {
        if (counts.assignment().isEmpty()) {
            List<TopicPartition> all = new ArrayList<>();
            for (int i = 0; i < PARTITIONS; i++) {
                all.add(new TopicPartition(COUNTS, i));
            }
            counts.assign(all);
            counts.seekToBeginning(all);
        }
        until("words are counted", () -> {
            for (ConsumerRecord<String, Long> r : counts.poll(Duration.ofMillis(200))) {
                if (r.value() != counted.getOrDefault(r.key(), 0L) + 1) {
                    throw new IllegalStateException(r.key() + " has count " + r.value() + " after " + counted.get(r.key()));
                }
                counted.put(r.key(), r.value());
            }
            return counted.equals(expected);
        });
    }

    static void until(String what, BooleanSupplier ok) throws Exception {
        long deadline = System.currentTimeMillis() + 60_000;
        while (!ok.getAsBoolean()) {
            if (System.currentTimeMillis() > deadline) {
                throw new IllegalStateException("not within a minute: " + what);
            }
            Thread.sleep(100);
        }
    }

    static StreamsGroupDescription describe(Admin admin) {
        try {
            return admin.describeStreamsGroups(Set.of(APPLICATION)).all().get().get(APPLICATION);
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    static int members(Admin admin) {
        return describe(admin).members().size();
    }

    /** How many members have active tasks, if all tasks are active. */
    static int spread(Admin admin) {
        int tasks = 0;
        Set<String> having = new HashSet<>();
        for (StreamsGroupMemberDescription m : describe(admin).members()) {
            for (var t : m.assignment().activeTasks()) {
                tasks += t.partitions().size();
                having.add(m.memberId());
            }
        }
        return tasks == 2 * PARTITIONS ? having.size() : 0;
    }

    static int standbys(Admin admin) {
        return describe(admin).members().stream().flatMap(m -> m.assignment().standbyTasks().stream()).mapToInt(t -> t.partitions().size()).sum();
    }

    /** How many processes are known to have all of the state between them. */
    static int known(KafkaStreams streams) {
        Collection<StreamsMetadata> all = streams.metadataForAllStreamsClients();
        Set<TopicPartition> active = new HashSet<>();
        all.forEach(m -> active.addAll(m.topicPartitions()));
        return active.size() >= 2 * PARTITIONS ? all.size() : 0;
    }

    static void set(Admin admin, String key, String value) throws Exception {
        ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, APPLICATION);
        admin.incrementalAlterConfigs(Map.of(group, List.of(new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET)))).all().get();
    }

    static String administer(Admin admin, KafkaStreams last) throws Exception {
        Report.expect(describe(admin).groupState(), GroupState.STABLE, "state");
        Report.expect(describe(admin).subtopologies().size(), 2, "subtopologies");
        Collection<GroupListing> listed = admin.listGroups().all().get();
        Report.expect(listed.stream().filter(g -> g.groupId().equals(APPLICATION)).map(g -> g.type().orElse(GroupType.UNKNOWN)).toList(), List.of(GroupType.STREAMS), "type");
        last.close(Duration.ofSeconds(20));
        until("the group is empty", () -> describe(admin).groupState() == GroupState.EMPTY);
        Map<TopicPartition, OffsetAndMetadata> offsets = offsets(admin);
        Report.expect(offsets.keySet().stream().filter(p -> p.topic().equals(LINES)).mapToLong(p -> offsets.get(p).offset()).sum() >= 5, true, "offsets");
        TopicPartition first = new TopicPartition(LINES, 0);
        admin.alterStreamsGroupOffsets(APPLICATION, Map.of(first, new OffsetAndMetadata(0))).all().get();
        Report.expect(offsets(admin).get(first).offset(), 0L, "offset after it was set");
        admin.deleteStreamsGroupOffsets(APPLICATION, Set.of(first)).all().get();
        Report.expect(offsets(admin).containsKey(first), false, "an offset after its deletion");
        admin.deleteStreamsGroups(Set.of(APPLICATION)).all().get();
        Report.expect(admin.listGroups().all().get().stream().anyMatch(g -> g.groupId().equals(APPLICATION)), false, "listed after its deletion");
        return "describe, list, alter and delete offsets, delete";
    }

    static Map<TopicPartition, OffsetAndMetadata> offsets(Admin admin) throws Exception {
        return admin.listStreamsGroupOffsets(Map.of(APPLICATION, new ListStreamsGroupOffsetsSpec())).partitionsToOffsetAndMetadata(APPLICATION).get();
    }
}
