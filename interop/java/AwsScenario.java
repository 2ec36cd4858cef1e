import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.*;

/** AWS SDK for Java v2: CBOR on the wire. "sync" is the plain client over HTTP/1.1, "async" Netty over HTTP/2. */
final class AwsScenario {
    static final String STREAM = Report.PREFIX + "stream";
    static final int COUNT = 50;

    /** Kinesis is the operations that the scenario uses, whichever client makes them. */
    interface Kinesis extends AutoCloseable {
        CreateStreamResponse create(CreateStreamRequest r);
        DeleteStreamResponse delete(DeleteStreamRequest r);
        DescribeStreamSummaryResponse describe(DescribeStreamSummaryRequest r);
        PutRecordResponse put(PutRecordRequest r);
        PutRecordsResponse put(PutRecordsRequest r);
        ListShardsResponse shards(ListShardsRequest r);
        GetShardIteratorResponse iterator(GetShardIteratorRequest r);
        GetRecordsResponse records(GetRecordsRequest r);
        AddTagsToStreamResponse tag(AddTagsToStreamRequest r);
        ListTagsForStreamResponse tags(ListTagsForStreamRequest r);
        IncreaseStreamRetentionPeriodResponse retain(IncreaseStreamRetentionPeriodRequest r);
        String subscribe() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        try (Kinesis k = args[0].equals("async") ? new Async() : new Sync()) {
            Report.judge("put", () -> put(k));
            Report.judge("read", () -> read(k));
            if (args[0].equals("async")) {
                Report.judge("subscribe", k::subscribe);
            } else {
                Report.say("subscribe", "none", "the sync client has no event streams");
            }
            Report.judge("errors", () -> refusals(k));
            Report.judge("streams", () -> streams(k));
            Report.say("firehose", "none", "judged by boto3 and the CLI");
            if (!Report.IN.isEmpty()) {
                Report.judge("from-kafka", () -> Report.expectCrossed(readAll(k, Report.IN, ShardIteratorType.TRIM_HORIZON, null)));
                putAll(k, Report.OUT, Report.crossRecords());
            }
        }
    }

    static List<String[]> sent() {
        List<String[]> all = new ArrayList<>();
        for (int i = 0; i < COUNT; i++) {
            all.add(new String[] {"key-" + i % 5, "key-" + i % 5 + ":" + i});
        }
        return all;
    }

    static void putAll(Kinesis k, String stream, List<String[]> records) {
        List<PutRecordsRequestEntry> entries = new ArrayList<>();
        for (String[] r : records) {
            entries.add(PutRecordsRequestEntry.builder().partitionKey(r[0]).data(SdkBytes.fromUtf8String(r[1])).build());
        }
        Report.expect(k.put(PutRecordsRequest.builder().streamName(stream).records(entries).build()).failedRecordCount(), 0, "failed records");
    }

    static StreamDescriptionSummary describe(Kinesis k) {
        return k.describe(DescribeStreamSummaryRequest.builder().streamName(STREAM).build()).streamDescriptionSummary();
    }

    static void sleep(long milliseconds) throws InterruptedException {
        TimeUnit.MILLISECONDS.sleep(milliseconds);
    }

    static String put(Kinesis k) throws Exception {
        k.create(CreateStreamRequest.builder().streamName(STREAM).shardCount(2).build());
        while (describe(k).streamStatus() != StreamStatus.ACTIVE) {
            sleep(50);
        }
        List<String[]> records = sent();
        String[] first = records.get(0);
        PutRecordResponse one = k.put(PutRecordRequest.builder().streamName(STREAM).partitionKey(first[0]).data(SdkBytes.fromUtf8String(first[1])).build());
        Report.expect(one.sequenceNumber().matches("\\d+"), true, "sequence number " + one.sequenceNumber());
        putAll(k, STREAM, records.subList(1, records.size()));
        return "";
    }

    static List<String[]> readAll(Kinesis k, String stream, ShardIteratorType type, Instant from) {
        List<String[]> got = new ArrayList<>();
        for (Shard s : k.shards(ListShardsRequest.builder().streamName(stream).build()).shards()) {
            String next = k.iterator(GetShardIteratorRequest.builder().streamName(stream).shardId(s.shardId()).shardIteratorType(type).timestamp(from).build())
                    .shardIterator();
            while (next != null) {
                GetRecordsResponse page = k.records(GetRecordsRequest.builder().shardIterator(next).build());
                for (software.amazon.awssdk.services.kinesis.model.Record r : page.records()) {
                    got.add(new String[] {r.partitionKey(), r.data().asString(StandardCharsets.UTF_8)});
                    Duration age = Duration.between(r.approximateArrivalTimestamp(), Instant.now()).abs();
                    Report.expect(age.compareTo(Duration.ofMinutes(10)) < 0, true, "arrival time of a record, off by " + age);
                }
                next = page.records().isEmpty() && page.millisBehindLatest() == 0 ? null : page.nextShardIterator();
            }
        }
        return got;
    }

    static String read(Kinesis k) throws Exception {
        Report.expect(Report.byKey(readAll(k, STREAM, ShardIteratorType.TRIM_HORIZON, null)), Report.byKey(sent()), "records");
        sleep(20);
        Instant now = Instant.now();
        putAll(k, STREAM, Collections.singletonList(new String[] {"late", "late"}));
        List<String[]> late = readAll(k, STREAM, ShardIteratorType.AT_TIMESTAMP, now);
        Report.expect(Report.byKey(late), Map.of("late", List.of("late")), "records from that time");
        return "";
    }

    static String refusals(Kinesis k) {
        String absent = Report.PREFIX + "absent";
        String account = describe(k).streamARN().split(":")[4];
        KinesisException e = (KinesisException) Report.refusal("an absent stream", () -> {
            k.describe(DescribeStreamSummaryRequest.builder().streamName(absent).build());
            return "";
        });
        Report.expect(e.getClass().getSimpleName(), "ResourceNotFoundException", "error");
        Report.expect(e.awsErrorDetails().errorMessage(), "Stream " + absent + " under account " + account + " not found.", "error text");
        e = (KinesisException) Report.refusal("a bad iterator", () -> {
            k.records(GetRecordsRequest.builder().shardIterator("AAAA").build());
            return "";
        });
        Report.expect(e.awsErrorDetails().errorMessage(), "Invalid ShardIterator.", "error text");
        e = (KinesisException) Report.refusal("an empty key", () -> {
            k.put(PutRecordRequest.builder().streamName(STREAM).partitionKey("").data(SdkBytes.fromUtf8String("x")).build());
            return "";
        });
        Report.expect(e.awsErrorDetails().errorCode(), "ValidationException", "error code");
        return "";
    }

    static String streams(Kinesis k) throws Exception {
        k.tag(AddTagsToStreamRequest.builder().streamName(STREAM).tags(Map.of("team", "a")).build());
        Report.expect(k.tags(ListTagsForStreamRequest.builder().streamName(STREAM).build()).tags().get(0).value(), "a", "tag");
        k.retain(IncreaseStreamRetentionPeriodRequest.builder().streamName(STREAM).retentionPeriodHours(48).build());
        Report.expect(describe(k).retentionPeriodHours(), 48, "retention");
        k.delete(DeleteStreamRequest.builder().streamName(STREAM).build());
        long deadline = System.currentTimeMillis() + 30_000;
        while (System.currentTimeMillis() < deadline) {
            try {
                describe(k);
            } catch (ResourceNotFoundException e) {
                return "";
            }
            sleep(50);
        }
        throw new AssertionError("the stream is still there 30 s after its deletion");
    }

    static java.net.URI endpoint() {
        return java.net.URI.create(System.getenv("AWS_ENDPOINT_URL"));
    }

    static final class Sync implements Kinesis {
        private final KinesisClient c = KinesisClient.builder().endpointOverride(endpoint()).build();

        public CreateStreamResponse create(CreateStreamRequest r) { return c.createStream(r); }
        public DeleteStreamResponse delete(DeleteStreamRequest r) { return c.deleteStream(r); }
        public DescribeStreamSummaryResponse describe(DescribeStreamSummaryRequest r) { return c.describeStreamSummary(r); }
        public PutRecordResponse put(PutRecordRequest r) { return c.putRecord(r); }
        public PutRecordsResponse put(PutRecordsRequest r) { return c.putRecords(r); }
        public ListShardsResponse shards(ListShardsRequest r) { return c.listShards(r); }
        public GetShardIteratorResponse iterator(GetShardIteratorRequest r) { return c.getShardIterator(r); }
        public GetRecordsResponse records(GetRecordsRequest r) { return c.getRecords(r); }
        public AddTagsToStreamResponse tag(AddTagsToStreamRequest r) { return c.addTagsToStream(r); }
        public ListTagsForStreamResponse tags(ListTagsForStreamRequest r) { return c.listTagsForStream(r); }
        public IncreaseStreamRetentionPeriodResponse retain(IncreaseStreamRetentionPeriodRequest r) { return c.increaseStreamRetentionPeriod(r); }
        public String subscribe() { throw new UnsupportedOperationException(); }
        public void close() { c.close(); }
    }

    static final class Async implements Kinesis {
        private final KinesisAsyncClient c = KinesisAsyncClient.builder().endpointOverride(endpoint())
                .httpClientBuilder(NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP2)).build();

        /** join waits for an answer and throws what the sync client would. */
        private static <R, A> A join(Function<R, CompletableFuture<A>> call, R request) {
            try {
                return call.apply(request).join();
            } catch (java.util.concurrent.CompletionException e) {
                throw Report.cause(e) instanceof RuntimeException ? (RuntimeException) Report.cause(e) : e;
            }
        }

        public CreateStreamResponse create(CreateStreamRequest r) { return join(c::createStream, r); }
        public DeleteStreamResponse delete(DeleteStreamRequest r) { return join(c::deleteStream, r); }
        public DescribeStreamSummaryResponse describe(DescribeStreamSummaryRequest r) { return join(c::describeStreamSummary, r); }
        public PutRecordResponse put(PutRecordRequest r) { return join(c::putRecord, r); }
        public PutRecordsResponse put(PutRecordsRequest r) { return join(c::putRecords, r); }
        public ListShardsResponse shards(ListShardsRequest r) { return join(c::listShards, r); }
        public GetShardIteratorResponse iterator(GetShardIteratorRequest r) { return join(c::getShardIterator, r); }
        public GetRecordsResponse records(GetRecordsRequest r) { return join(c::getRecords, r); }
        public AddTagsToStreamResponse tag(AddTagsToStreamRequest r) { return join(c::addTagsToStream, r); }
        public ListTagsForStreamResponse tags(ListTagsForStreamRequest r) { return join(c::listTagsForStream, r); }
        public IncreaseStreamRetentionPeriodResponse retain(IncreaseStreamRetentionPeriodRequest r) { return join(c::increaseStreamRetentionPeriod, r); }
        public void close() { c.close(); }

        public String subscribe() throws Exception {
            String stream = AwsScenario.describe(this).streamARN();
            String consumer = c.registerStreamConsumer(r -> r.streamARN(stream).consumerName("judge")).get().consumer().consumerARN();
            while (c.describeStreamConsumer(r -> r.consumerARN(consumer)).get().consumerDescription().consumerStatus() != ConsumerStatus.ACTIVE) {
                sleep(50);
            }
            AtomicInteger count = new AtomicInteger();
            for (Shard s : c.listShards(r -> r.streamName(STREAM)).get().shards()) {
                count.addAndGet(follow(consumer, s.shardId()));
            }
            Report.expect(count.get(), COUNT + 1, "records");
            c.deregisterStreamConsumer(r -> r.consumerARN(consumer)).get();
            return count + " records";
        }

        /** follow reads one shard from its start to its tip over a subscription. */
        private int follow(String consumer, String shard) throws Exception {
            AtomicInteger count = new AtomicInteger();
            CompletableFuture<Void> tip = new CompletableFuture<>();
            SubscribeToShardResponseHandler handler = SubscribeToShardResponseHandler.builder()
                    .onError(tip::completeExceptionally)
                    .subscriber(event -> {
                        if (event instanceof SubscribeToShardEvent) {
                            SubscribeToShardEvent e = (SubscribeToShardEvent) event;
                            count.addAndGet(e.records().size());
                            if (e.millisBehindLatest() == 0) {
                                tip.complete(null);
                            }
                        }
                    })
                    .build();
            CompletableFuture<Void> call = c.subscribeToShard(
                    r -> r.consumerARN(consumer).shardId(shard).startingPosition(p -> p.type(ShardIteratorType.TRIM_HORIZON)), handler);
            tip.get(30, TimeUnit.SECONDS);
            call.cancel(true);
            return count.get();
        }
    }
}
