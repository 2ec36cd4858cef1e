import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Metrics of Java clients (KIP-714): an operator subscribes to them, producer and consumer push them, the server shows them. */
final class TelemetryScenario {
    static final ConfigResource SUBSCRIPTION = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, Report.PREFIX + "sub");
    static final String TOPIC = Report.PREFIX + "pushed";

    public static void main(String[] args) throws Exception {
        try (Admin admin = Admin.create(config())) {
            Report.judge("subscribed", () -> subscribed(admin));
            Report.judge("pushed", () -> pushed(admin));
            Report.judge("unsubscribed", () -> unsubscribed(admin));
        }
    }

    static Map<String, Object> config() {
        return Map.of("bootstrap.servers", System.getenv("KAFKA"));
    }

    static void alter(Admin admin, AlterConfigOp.OpType type, String... pairs) throws Exception {
        Collection<AlterConfigOp> ops = new ArrayList<>();
        for (int i = 0; i < pairs.length; i += 2) {
            ops.add(new AlterConfigOp(new ConfigEntry(pairs[i], pairs[i + 1]), type));
        }
        admin.incrementalAlterConfigs(Map.of(SUBSCRIPTION, ops)).all().get();
    }

    static boolean listed(Admin admin) throws Exception {
        return admin.listConfigResources(Set.of(ConfigResource.Type.CLIENT_METRICS), new org.apache.kafka.clients.admin.ListConfigResourcesOptions())
                .all().get().contains(SUBSCRIPTION);
    }

    static String subscribed(Admin admin) throws Exception {
        String match = "client_id=" + Report.PREFIX + ".*,client_software_name=apache-kafka-java";
        alter(admin, AlterConfigOp.OpType.SET, "metrics", "org.apache.kafka.", "interval.ms", "500", "match", match);
        Throwable e = Report.refusal("an interval of a millisecond", () -> {
            alter(admin, AlterConfigOp.OpType.SET, "interval.ms", "1");
            return "";
        });
        Report.expect(e.getClass(), InvalidRequestException.class, "refusal of an interval");
        Map<String, String> set = admin.describeConfigs(Set.of(SUBSCRIPTION)).all().get().get(SUBSCRIPTION).entries().stream()
                .collect(Collectors.toMap(ConfigEntry::name, ConfigEntry::value));
        Report.expect(set, Map.of("metrics", "org.apache.kafka.", "interval.ms", "500", "match", match), "described");
        Report.expect(listed(admin), true, "listed");
        return "set, refused, described, listed";
    }

    static String pushed(Admin admin) throws Exception {
        admin.createTopics(List.of(new NewTopic(TOPIC, 1, (short) 1))).all().get();
        Map<String, Object> p = new java.util.HashMap<>(config());
        p.put("client.id", Report.PREFIX + "producer");
        Map<String, Object> c = new java.util.HashMap<>(config());
        c.putAll(Map.of("client.id", Report.PREFIX + "consumer", "group.id", Report.PREFIX + "pushed", "auto.offset.reset", "earliest"));
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
                KafkaConsumer<String, String> consumer = new KafkaConsumer<>(c, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(Collections.singleton(TOPIC));
            Uuid produces = producer.clientInstanceId(Duration.ofSeconds(10));
            long deadline = System.currentTimeMillis() + 30_000;
            while (System.currentTimeMillis() < deadline) {
                producer.send(new ProducerRecord<>(TOPIC, "k", "v")).get();
                consumer.poll(Duration.ofMillis(100));
                Uuid consumes = consumer.clientInstanceId(Duration.ofMillis(100)); // null before the client has asked, which it does as it polls
                List<String> page = page();
                long sent = series(page, "producer_record_send_total", produces), read = series(page, "consumer_fetch_manager_records_consumed_total", consumes);
                if (sent > 0 && read > 0) {
                    return series(page, "", produces) + " series of the producer, " + series(page, "", consumes) + " of the consumer";
                }
            }
        }
        throw new AssertionError("not shown: " + page().stream().filter(l -> l.contains(Report.PREFIX)).limit(5).collect(Collectors.toList()));
    }

    static List<String> page() throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("AWS_ENDPOINT_URL") + "/metrics")).build();
        return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body().lines().collect(Collectors.toList());
    }

    /** series counts those of a client whose name begins so. */
    static long series(List<String> page, String name, Uuid client) {
        return page.stream().filter(l -> l.startsWith("freshet_kafka_client_" + name) && l.contains("\"" + client + "\"")).count();
    }

    static String unsubscribed(Admin admin) throws Exception {
        alter(admin, AlterConfigOp.OpType.DELETE, "metrics", "", "interval.ms", "", "match", "");
        Report.expect(listed(admin), false, "listed");
        return "deleted";
    }
}
