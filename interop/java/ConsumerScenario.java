import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** KafkaConsumer with group.protocol=consumer (KIP-848), alone and beside classic ones. */
final class ConsumerScenario {
    static final String TOPIC = Report.PREFIX + "shared";
    static final String LATER = Report.PREFIX + "sharedlater";

    public static void main(String[] args) throws Exception {
        try (AdminClient admin = AdminClient.create(config())) {
            admin.createTopics(Collections.singleton(new NewTopic(TOPIC, 4, (short) 1))).all().get();
            try (KafkaProducer<String, String> p = new KafkaProducer<>(config(), new StringSerializer(), new StringSerializer())) {
                for (int i = 0; i < 40; i++) {
                    p.send(new ProducerRecord<>(TOPIC, i % 4, "k" + i, "v" + i)).get();
                }
            }
            Report.judge("shares", () -> shares(admin));
            Report.judge("patterns", () -> patterns(admin));
            Report.judge("static", ConsumerScenario::statics);
            Report.judge("migration", () -> migration(admin));
            admin.deleteTopics(Arrays.asList(TOPIC, LATER)).all().get();
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

    static KafkaConsumer<String, String> member(String group, String... pairs) {
        Properties p = config("group.id", Report.PREFIX + group, "group.protocol", "consumer", "auto.offset.reset", "earliest", "enable.auto.commit", "false");
        p.putAll(config(pairs));
        return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
    }

    static KafkaConsumer<String, String> classic(String group) {
        return member(group, "group.protocol", "classic", "heartbeat.interval.ms", "300", "session.timeout.ms", "10000",
            "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
    }

    /** until polls all members by turns until each has as many partitions as wanted; it returns how many records came. */
    @SafeVarargs
    static int until(List<Integer> want, KafkaConsumer<String, String>... members) {
        int got = 0;
        List<Integer> have = new ArrayList<>();
        for (long deadline = System.currentTimeMillis() + 30_000; System.currentTimeMillis() < deadline; ) {
            have.clear();
            for (KafkaConsumer<String, String> c : members) {
                got += c.poll(Duration.ofMillis(50)).count();
                have.add(c.assignment().size());
            }
            if (have.equals(want)) {
                return got;
            }
        }
        throw new AssertionError("partitions of the members: " + have + " instead of " + want);
    }

    static long positions(KafkaConsumer<String, String> member) {
        return member.assignment().stream().mapToLong(member::position).sum();
    }

    static ConsumerGroupDescription describe(AdminClient admin, String group) throws Exception {
        String id = Report.PREFIX + group;
        return admin.describeConsumerGroups(Collections.singleton(id)).all().get().get(id);
    }

    /** Two members share a topic; one commits for the next. */
    static String shares(AdminClient admin) throws Exception {
        try (KafkaConsumer<String, String> a = member("shares"); KafkaConsumer<String, String> b = member("shares")) {
            a.subscribe(Collections.singleton(TOPIC));
            b.subscribe(Collections.singleton(TOPIC));
            until(Arrays.asList(2, 2), a, b);
            // Positions and not records are counted: what one read before a partition moved the other reads again.
            for (long deadline = System.currentTimeMillis() + 20_000; positions(a) + positions(b) < 40 && System.currentTimeMillis() < deadline; ) {
                a.poll(Duration.ofMillis(50));
                b.poll(Duration.ofMillis(50));
            }
            a.commitSync();
            b.commitSync();
            ConsumerGroupDescription d = describe(admin, "shares");
            Report.expect(d.type(), GroupType.CONSUMER, "type of the group");
            Report.expect(d.members().size(), 2, "members");
        }
        long sum = admin.listConsumerGroupOffsets(Report.PREFIX + "shares").partitionsToOffsetAndMetadata().get().values().stream()
            .mapToLong(o -> o.offset()).sum();
        Report.expect(sum, 40L, "committed offsets");
        return "";
    }

    /** A pattern is matched by the server, new topics too; one that is none is refused. */
    static String patterns(AdminClient admin) throws Exception {
        try (KafkaConsumer<String, String> c = member("patterns")) {
            c.subscribe(new SubscriptionPattern(Report.PREFIX + "shared.*"));
            until(Arrays.asList(4), c);
            admin.createTopics(Collections.singleton(new NewTopic(LATER, 3, (short) 1))).all().get();
            until(Arrays.asList(7), c);
        }
        try (KafkaConsumer<String, String> c = member("patterns")) {
            c.subscribe(new SubscriptionPattern("a("));
            Throwable refusal = Report.refusal("a bad pattern", () -> "" + until(Arrays.asList(1), c));
            Report.expect(refusal.getClass().getSimpleName(), "InvalidRegularExpression", "refusal of a bad pattern");
        }
        return "";
    }

    /** A static member comes back to what it had; nobody takes its place while it is there. */
    static String statics() throws Exception {
        try (KafkaConsumer<String, String> other = member("static")) {
            other.subscribe(Collections.singleton(TOPIC));
            Collection<?> had;
            try (KafkaConsumer<String, String> first = member("static", "group.instance.id", "one")) {
                first.subscribe(Collections.singleton(TOPIC));
                until(Arrays.asList(2, 2), other, first);
                had = first.assignment();
                try (KafkaConsumer<String, String> second = member("static", "group.instance.id", "one")) {
                    second.subscribe(Collections.singleton(TOPIC));
                    Throwable refusal = Report.refusal("a duplicate", () -> "" + until(Arrays.asList(1), second));
                    Report.expect(refusal.getClass().getSimpleName(), "UnreleasedInstanceIdException", "refusal of a duplicate");
                }
            }
            try (KafkaConsumer<String, String> again = member("static", "group.instance.id", "one")) {
                again.subscribe(Collections.singleton(TOPIC));
                until(Arrays.asList(2, 2), other, again);
                Report.expect(again.assignment(), had, "assignment of the static member");
            }
        }
        return "";
    }

    /** A classic group becomes one of KIP-848 while its member goes on, and a classic one again. */
    static String migration(AdminClient admin) throws Exception {
        try (KafkaConsumer<String, String> old = classic("migration")) {
            old.subscribe(Collections.singleton(TOPIC));
            until(Arrays.asList(4), old);
            Report.expect(describe(admin, "migration").type(), GroupType.CLASSIC, "type before");
            try (KafkaConsumer<String, String> next = member("migration")) {
                next.subscribe(Collections.singleton(TOPIC));
                until(Arrays.asList(2, 2), old, next);
                Report.expect(describe(admin, "migration").type(), GroupType.CONSUMER, "type while both are there");
            }
            until(Arrays.asList(4), old);
            Report.expect(describe(admin, "migration").type(), GroupType.CLASSIC, "type after");
        }
        return "";
    }
}
