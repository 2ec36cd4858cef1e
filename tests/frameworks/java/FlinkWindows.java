import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/**
 * Flink SQL in one process: counts events by word in windows of a second, from one topic into another, exactly once by checkpoints and transactions.
 * Arguments: bootstrap address, directory of checkpoints, the checkpoint to go on from or "", how transactions are named (POOLING or INCREMENTING).
 */
final class FlinkWindows {
    public static void main(String[] args) throws Exception {
        Configuration c = new Configuration();
        c.setString("execution.checkpointing.interval", "1 s");
        c.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        c.setString("execution.checkpointing.dir", "file://" + args[1]);
        c.setString("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
        c.setString("execution.checkpointing.num-retained", "2");
        c.setString("execution.checkpointing.tolerable-failed-checkpoints", "1000");
        c.setString("restart-strategy.type", "fixed-delay");
        c.setString("restart-strategy.fixed-delay.attempts", "1000");
        c.setString("restart-strategy.fixed-delay.delay", "500 ms");
        c.setString("table.local-time-zone", "UTC");
        c.setString("parallelism.default", "2");
        c.setString("rest.port", "0");
        if (!args[2].isEmpty()) {
            c.setString("execution.state-recovery.path", args[2]);
        }
        TableEnvironment t = TableEnvironment.create(EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(c).build());
        String kafka = "'connector' = 'kafka', 'format' = 'json', 'properties.bootstrap.servers' = '" + args[0] + "', ";
        t.executeSql("CREATE TABLE events (id BIGINT, word STRING, happened TIMESTAMP(3), WATERMARK FOR happened AS happened) WITH (" + kafka
                + "'topic' = 'events', 'properties.group.id' = 'flink', 'scan.startup.mode' = 'earliest-offset')");
        t.executeSql("CREATE TABLE windows (begun TIMESTAMP(3), word STRING, n BIGINT, ids BIGINT) WITH (" + kafka
                + "'topic' = 'windows', 'sink.delivery-guarantee' = 'exactly-once', 'sink.transactional-id-prefix' = 'windows-', "
                + "'sink.transaction-naming-strategy' = '" + args[3] + "', 'properties.transaction.timeout.ms' = '60000')");
        t.executeSql("INSERT INTO windows SELECT window_start, word, COUNT(*), SUM(id) "
                + "FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(happened), INTERVAL '1' SECOND)) GROUP BY window_start, window_end, word").await();
    }
}
