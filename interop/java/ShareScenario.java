import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ShareGroupDescription;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** KafkaShareConsumer, which kafka-clients has since 4.2 for good: a queue, with every kind of acknowledgement. */
final class ShareScenario {
    static final String QUEUE = Report.PREFIX + "queue";
    static final int COUNT = 200;

    public static void main(String[] args) throws Exception {
        try (Admin admin = Admin.create(config())) {
            Report.judge("queue", () -> {
                admin.createTopics(Collections.singleton(new NewTopic(QUEUE, 3, (short) 1))).all().get();
                produce();
                implicit(admin);
                explicit(admin);
                return "implicit and explicit acknowledgement, release, reject, renew, delivery counts";
            });
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

    static void produce() throws Exception {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config("linger.ms", "5"), new StringSerializer(), new StringSerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < COUNT; i++) {
                sent.add(producer.send(new ProducerRecord<>(QUEUE, "k" + i, Integer.toString(i))));
            }
            producer.flush();
            for (Future<RecordMetadata> f : sent) {
                f.get();
            }
        }
    }

    static void fromStart(Admin admin, String group) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        AlterConfigOp op = new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(op))).all().get();
    }

    static KafkaShareConsumer<String, String> consumer(String group, String... pairs) {
        Properties p = config("group.id", group);
        p.putAll(config(pairs));
        KafkaShareConsumer<String, String> c = new KafkaShareConsumer<>(p, new StringDeserializer(), new StringDeserializer());
        c.subscribe(Collections.singleton(QUEUE));
        return c;
    }

    /** Two consumers share the records: each is read by one of them, and acknowledged by the poll after. */
    static void implicit(Admin admin) throws Exception {
        String group = Report.PREFIX + "share";
        fromStart(admin, group);
        Map<String, Integer> seen = new TreeMap<>();
        try (KafkaShareConsumer<String, String> a = consumer(group, "max.poll.records", "20"); KafkaShareConsumer<String, String> b = consumer(group)) {
            List<KafkaShareConsumer<String, String>> both = Arrays.asList(a, b);
            long deadline = System.currentTimeMillis() + 30_000;
            for (int i = 0; seen.size() < COUNT && System.currentTimeMillis() < deadline; i++) {
                for (ConsumerRecord<String, String> r : both.get(i % 2).poll(Duration.ofMillis(200))) {
                    seen.merge(r.value(), 1, Integer::sum);
                    Report.expect(r.deliveryCount(), Optional.of((short) 1), "delivery count");
                }
            }
            Report.expect(a.commitSync(Duration.ofSeconds(10)).values().stream().allMatch(Optional::isEmpty), true, "acknowledged");
            Report.expect(b.commitSync(Duration.ofSeconds(10)).values().stream().allMatch(Optional::isEmpty), true, "acknowledged");
            ShareGroupDescription d = admin.describeShareGroups(Set.of(group)).all().get().get(group);
            Report.expect(d.groupState(), GroupState.STABLE, "state");
            Report.expect(d.members().size(), 2, "members");
        }
        Report.expect(seen.size(), COUNT, "records");
        Report.expect(new HashSet<>(seen.values()), Set.of(1), "times that each was read");
        long read = 0;
        for (var offset : admin.listShareGroupOffsets(Map.of(group, new org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec())).all().get().get(group).values()) {
            read += offset.startOffset();
            Report.expect(offset.lag(), Optional.of(0L), "lag");
        }
        Report.expect(read, (long) COUNT, "sum of start offsets");
    }

    /** One record is released, one rejected, one renewed, the others accepted. */
    static void explicit(Admin admin) throws Exception {
        String group = Report.PREFIX + "explicit";
        fromStart(admin, group);
        Map<String, List<Integer>> deliveries = new HashMap<>();
        Set<String> renewed = new HashSet<>();
        Map<TopicIdPartition, Exception> refused = new HashMap<>();
        try (KafkaShareConsumer<String, String> c = consumer(group, "share.acknowledgement.mode", "explicit")) {
            c.setAcknowledgementCommitCallback((offsets, e) -> offsets.keySet().forEach(p -> {
                if (e != null) {
                    refused.put(p, e);
                }
            }));
            long deadline = System.currentTimeMillis() + 30_000;
            Set<String> done = new HashSet<>();
            while (done.size() < COUNT && System.currentTimeMillis() < deadline) {
                for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(200))) {
                    int count = r.deliveryCount().get();
                    List<Integer> counts = deliveries.computeIfAbsent(r.value(), v -> new ArrayList<>());
                    if (r.value().equals("7") && !renewed.contains("7")) {
                        renewed.add("7");
                        c.acknowledge(r, AcknowledgeType.RENEW);
                        continue;
                    }
                    counts.add(count);
                    if (r.value().equals("42") && count < 3) {
                        c.acknowledge(r, AcknowledgeType.RELEASE);
                        continue;
                    }
                    c.acknowledge(r, r.value().equals("13") ? AcknowledgeType.REJECT : AcknowledgeType.ACCEPT);
                    done.add(r.value());
                }
                c.commitSync(Duration.ofSeconds(10)).forEach((p, e) -> e.ifPresent(x -> refused.put(p, (KafkaException) x)));
            }
            Report.expect(done.size(), COUNT, "records that are done");
        }
        Report.expect(refused, Map.of(), "refused acknowledgements");
        Report.expect(deliveries.get("42"), List.of(1, 2, 3), "deliveries of a released record");
        Report.expect(deliveries.get("13"), List.of(1), "deliveries of a rejected record");
        Report.expect(deliveries.get("7"), List.of(1), "deliveries of a renewed record");
    }
}
