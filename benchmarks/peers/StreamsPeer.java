import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The job on Kafka Streams: RocksDB state with a changelog, exactly_once_v2.
 *
 * <p>java StreamsPeer BROKER GROUP INPUT OUTPUT STATE_DIR COMMIT_MS THREADS
 *
 * <p>Says "first record" on its standard output when it has one, and ends with a signal.
 */
public final class StreamsPeer {
    private static final String STORE = "contacts";
    private static final int SEEN_KEPT = 16;
    private static final int SCORE_OVER = 100;
    private static final Map<String, Map<String, String>> TARGETS =
            Map.of(
                    "prospect", Map.of("form.submitted", "lead"),
                    "lead", Map.of("email.replied", "mql", "page.viewed", "mql"),
                    "mql", Map.of("meeting.booked", "sql"),
                    "sql", Map.of());

    private static final AtomicBoolean BEGUN = new AtomicBoolean();

    private StreamsPeer() {}

    /** One contact's event at a time. */
    private static final class Job implements Processor<byte[], byte[], byte[], byte[]> {
        private final ObjectMapper json = new ObjectMapper();
        private ProcessorContext<byte[], byte[]> context;
        private KeyValueStore<byte[], byte[]> contacts;

        @Override
        public void init(ProcessorContext<byte[], byte[]> context) {
            this.context = context;
            this.contacts = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            if (!BEGUN.get() && BEGUN.compareAndSet(false, true)) {
                System.out.println("first record");
            }
            try {
                fold(record);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }

        private void fold(Record<byte[], byte[]> record) throws IOException {
            JsonNode event = json.readTree(record.value());
            ObjectNode contact = read(record.key());
            ArrayNode seen = (ArrayNode) contact.get("seen");
            String id = event.get("id").textValue();
            for (JsonNode other : seen) {
                if (id.equals(other.textValue())) {
                    return;
                }
            }
            seen.add(id);
            if (seen.size() > SEEN_KEPT) {
                seen.remove(0);
            }
            int score = contact.get("score").intValue() + event.get("data").get("score").intValue();
            contact.put("score", score);
            String stage = contact.get("stage").textValue();
            String kind = event.get("type").textValue();
            String target = TARGETS.get(stage).get(kind);
            if (target != null && (score > SCORE_OVER || !kind.equals("page.viewed"))) {
                contact.put("stage", target);
                ObjectNode change = json.createObjectNode().put("from", stage).put("to", target);
                context.forward(record.withValue(json.writeValueAsBytes(change)));
            }
            contacts.put(record.key(), json.writeValueAsBytes(contact));
        }

        private ObjectNode read(byte[] key) throws IOException {
            byte[] kept = contacts.get(key);
            if (kept != null) {
                return (ObjectNode) json.readTree(kept);
            }
            ObjectNode contact = json.createObjectNode().put("stage", "prospect").put("score", 0);
            contact.putArray("seen");
            return contact;
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("application.id", arguments[1]);
        settings.put("state.dir", arguments[4]);
        settings.put("commit.interval.ms", arguments[5]);
        settings.put("num.stream.threads", arguments[6]);
        settings.put("processing.guarantee", "exactly_once_v2");
        settings.put("auto.offset.reset", "earliest");
        settings.put("replication.factor", "1");
        settings.put("default.key.serde", Serdes.ByteArraySerde.class);
        settings.put("default.value.serde", Serdes.ByteArraySerde.class);
        StreamsBuilder topology = new StreamsBuilder();
        topology.addStateStore(
                Stores.keyValueStoreBuilder(
                        Stores.persistentKeyValueStore(STORE), Serdes.ByteArray(), Serdes.ByteArray()));
        topology.<byte[], byte[]>stream(arguments[2]).process(Job::new, STORE).to(arguments[3]);
        KafkaStreams streams = new KafkaStreams(topology.build(), settings);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        new CountDownLatch(1).await();
    }
}
