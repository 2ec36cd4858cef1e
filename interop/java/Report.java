import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ExecutionException;

/** What the Java scenarios share: how a finding is reported, and the records of the crossing (see cross.go). */
final class Report {
    static final String PREFIX = System.getenv("PREFIX");
    static final String IN = System.getenv().getOrDefault("IN", "");
    static final String OUT = System.getenv().getOrDefault("OUT", "");

    /** One capability's scenario: what it returns is the detail of an ok, what it throws that of a failure. */
    interface Scenario {
        String run() throws Exception;
    }

    static void judge(String capability, Scenario scenario) {
        try {
            say(capability, "ok", scenario.run());
        } catch (Exception | AssertionError e) {
            e.printStackTrace();
            say(capability, "fail", cause(e).toString());
        }
    }

    static void say(String capability, String verdict, String detail) {
        System.out.println("@ " + capability + " " + verdict + " " + detail.replaceAll("\\s+", " "));
    }

    /** The failure itself, out of the wrapping of futures. */
    static Throwable cause(Throwable e) {
        boolean wrapped = e instanceof ExecutionException || e instanceof java.util.concurrent.CompletionException;
        return wrapped && e.getCause() != null ? cause(e.getCause()) : e;
    }

    static void expect(Object got, Object want, String what) {
        if (!Objects.equals(got, want)) {
            throw new AssertionError(what + ": " + got + " instead of " + want);
        }
    }

    /** Runs what must be refused, and returns the refusal. */
    static Throwable refusal(String what, Scenario scenario) {
        try {
            scenario.run();
        } catch (Exception e) {
            return cause(e);
        }
        throw new AssertionError(what + " was not refused");
    }

    static List<String[]> crossRecords() {
        List<String[]> all = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            for (int k = 0; k < 5; k++) {
                all.add(new String[] {"k" + k, "k" + k + ":" + i});
            }
        }
        return all;
    }

    static String expectCrossed(List<String[]> got) {
        expect(byKey(got), byKey(crossRecords()), "crossed records");
        return got.size() + " records, per key in order";
    }

    static Map<String, List<String>> byKey(List<String[]> records) {
        Map<String, List<String>> map = new HashMap<>();
        for (String[] r : records) {
            map.computeIfAbsent(r[0], k -> new ArrayList<>()).add(r[1]);
        }
        return map;
    }
}
