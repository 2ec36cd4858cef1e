import java.time.Duration;
import java.util.Collections;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.CreateDelegationTokenOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RenewDelegationTokenOptions;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.errors.SslAuthenticationException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.security.token.delegation.DelegationToken;

/** kafka-clients through listeners of every kind; aws-msk-iam-auth for access keys. */
final class SecurityScenario {
    static final String LOGIN = "org.apache.kafka.common.security.";

    public static void main(String[] args) {
        System.setProperty("org.apache.kafka.sasl.oauthbearer.allowed.urls", "file://" + System.getenv("TOKEN_FILE"));
        Report.judge("tls", () -> roundTrip("tls", config("TLS", "SSL")));
        Report.judge("mtls", () -> roundTrip("mtls", certified()));
        Report.judge("plain", () -> roundTrip("plain", password("PLAIN", System.getenv("USER_PASSWORD"))));
        Report.judge("scram", () -> {
            roundTrip("scram256", password("SCRAM-SHA-256", System.getenv("USER_PASSWORD")));
            roundTrip("scram512", password("SCRAM-SHA-512", System.getenv("USER_PASSWORD")));
            return delegation();
        });
        Report.judge("token", () -> roundTrip("token", token()));
        Report.judge("iam", () -> roundTrip("iam", accessKey()));
        Report.judge("denied", SecurityScenario::denied);
    }

    static Properties config(String listener, String protocol, String... pairs) {
        Properties p = new Properties();
        p.put("bootstrap.servers", System.getenv(listener));
        p.put("security.protocol", protocol);
        p.put("ssl.truststore.type", "PEM");
        p.put("ssl.truststore.location", System.getenv("CA"));
        for (int i = 0; i < pairs.length; i += 2) {
            p.put(pairs[i], pairs[i + 1]);
        }
        return p;
    }

    static Properties certified() {
        return config("MTLS", "SSL", "ssl.keystore.type", "PEM", "ssl.keystore.location", System.getenv("CLIENT_PEM"));
    }

    static Properties password(String mechanism, String password) {
        String module = mechanism.equals("PLAIN") ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
        String jaas = LOGIN + module + " required username=\"" + System.getenv("USER_NAME") + "\" password=\"" + password + "\";";
        return config("PASSWORDS", "SASL_SSL", "sasl.mechanism", mechanism, "sasl.jaas.config", jaas);
    }

    static Properties token() {
        return config("TOKENS", "SASL_SSL", "sasl.mechanism", "OAUTHBEARER",
            "sasl.jaas.config", LOGIN + "oauthbearer.OAuthBearerLoginModule required;",
            "sasl.login.callback.handler.class", LOGIN + "oauthbearer.OAuthBearerLoginCallbackHandler",
            "sasl.oauthbearer.jwt.retriever.class", LOGIN + "oauthbearer.FileJwtRetriever",
            "sasl.oauthbearer.token.endpoint.url", "file://" + System.getenv("TOKEN_FILE"));
    }

    static Properties accessKey() {
        return config("IAM", "SASL_SSL", "sasl.mechanism", "AWS_MSK_IAM",
            "sasl.jaas.config", "software.amazon.msk.auth.iam.IAMLoginModule required;",
            "sasl.client.callback.handler.class", "software.amazon.msk.auth.iam.IAMClientCallbackHandler");
    }

    /** roundTrip creates a topic, writes a record and reads it back. */
    static String roundTrip(String name, Properties config) throws Exception {
        String topic = Report.PREFIX + name;
        try (AdminClient admin = AdminClient.create(config)) {
            admin.createTopics(Collections.singleton(new NewTopic(topic, 1, (short) 1))).all().get(30, TimeUnit.SECONDS);
        }
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>(topic, "key", "value of " + name)).get(30, TimeUnit.SECONDS);
        }
        Properties reading = new Properties();
        reading.putAll(config);
        reading.put("auto.offset.reset", "earliest");
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(reading, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(Collections.singleton(new TopicPartition(topic, 0)));
            long deadline = System.currentTimeMillis() + 30_000;
            while (System.currentTimeMillis() < deadline) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
                if (!records.isEmpty()) {
                    Report.expect(records.iterator().next().value(), "value of " + name, "the record read back");
                    return "a record there and back";
                }
            }
        }
        throw new AssertionError("no record came back");
    }

    static Properties delegated(DelegationToken token, String mechanism) {
        String jaas = LOGIN + "scram.ScramLoginModule required username=\"" + token.tokenInfo().tokenId() + "\" password=\""
            + token.hmacAsBase64String() + "\" tokenauth=\"true\";";
        return config("PASSWORDS", "SASL_SSL", "sasl.mechanism", mechanism, "sasl.jaas.config", jaas);
    }

    /** delegation makes a token, comes in by it, and renews and ends it. */
    static String delegation() throws Exception {
        DelegationToken token;
        try (AdminClient owner = AdminClient.create(password("SCRAM-SHA-512", System.getenv("USER_PASSWORD")))) {
            token = owner.createDelegationToken(new CreateDelegationTokenOptions().maxLifetimeMs(3_600_000)).delegationToken().get(30, TimeUnit.SECONDS);
            Report.expect(token.tokenInfo().ownerAsString(), "User:" + System.getenv("USER_NAME"), "owner of the token");
            for (String mechanism : new String[] {"SCRAM-SHA-256", "SCRAM-SHA-512"}) {
                roundTrip("delegated" + mechanism.substring(10), delegated(token, mechanism));
            }
            try (AdminClient worker = AdminClient.create(delegated(token, "SCRAM-SHA-256"))) {
                Throwable further = Report.refusal("a token by a token", () -> {
                    worker.createDelegationToken().delegationToken().get(30, TimeUnit.SECONDS);
                    return "";
                });
                Report.expect(further.getClass().getSimpleName(), "UnsupportedByAuthenticationException", "refusal of a token by a token");
            }
            long renewed = owner.renewDelegationToken(token.hmac(), new RenewDelegationTokenOptions().renewTimePeriodMs(60_000)).expiryTimestamp().get(30, TimeUnit.SECONDS);
            Report.expect(renewed < System.currentTimeMillis() + 61_000, true, "a renewal of a minute");
            String id = token.tokenInfo().tokenId();
            boolean listed = owner.describeDelegationToken().delegationTokens().get(30, TimeUnit.SECONDS).stream().anyMatch(t -> t.tokenInfo().tokenId().equals(id));
            Report.expect(listed, true, "the token in the list");
            owner.expireDelegationToken(token.hmac()).expiryTimestamp().get(30, TimeUnit.SECONDS);
        }
        Throwable gone = Report.refusal("a token that is gone", () -> roundTrip("never", delegated(token, "SCRAM-SHA-256")));
        Report.expect(gone.getClass(), SaslAuthenticationException.class, "refusal of a token that is gone");
        return "a record there and back, also with a delegation token that is made, renewed and ended";
    }

    static String denied() {
        for (String mechanism : new String[] {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}) {
            Throwable wrong = Report.refusal("a wrong password", () -> roundTrip("never", password(mechanism, "wrong")));
            Report.expect(wrong.getClass(), SaslAuthenticationException.class, "refusal of a wrong password for " + mechanism);
        }
        Properties forged = token();
        forged.put("bootstrap.servers", System.getenv("IAM")); // another listener has the mechanism, and the same keys
        forged.put("sasl.mechanism", "PLAIN");
        forged.put("sasl.jaas.config", LOGIN + "plain.PlainLoginModule required username=\"a\" password=\"b\";");
        forged.remove("sasl.login.callback.handler.class");
        Throwable none = Report.refusal("a mechanism that is not there", () -> roundTrip("never", forged));
        Report.expect(none.getClass().getSimpleName(), "UnsupportedSaslMechanismException", "refusal of a mechanism");
        Throwable bare = Report.refusal("no certificate", () -> roundTrip("never", config("MTLS", "SSL")));
        Report.expect(bare.getClass(), SslAuthenticationException.class, "refusal of a client without certificate");
        return "wrong passwords, another mechanism, no certificate";
    }
}
