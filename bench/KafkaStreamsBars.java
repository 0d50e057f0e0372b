import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Bars of the trades of a processed topic by Kafka Streams, exactly once, final rows only, until it is killed: bench/streams.py runs it.
 * Arguments: brokers, topic, output topic, application id, folder of its state, length of a bar in ms, memory or rocksdb.
 */
public class KafkaStreamsBars {
  static final Serde<Trade> TRADES =
      Serdes.serdeFrom((t, x) -> ByteBuffer.allocate(16).putDouble(x.price).putDouble(x.quantity).array(), (t, v) -> trade(v));

  static Trade trade(byte[] value) {
    Trade t = new Trade();
    t.decode(value);
    return t;
  }

  static final Serde<Bar> BARS = Serdes.serdeFrom((t, x) -> x == null ? null : x.write(), (t, v) -> v == null ? null : Bar.read(v));

  public static void main(String[] a) throws Exception {
    Duration length = Duration.ofMillis(Long.parseLong(a[5]));
    Properties p = new Properties();
    p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, a[0]);
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, a[3]);
    p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
    p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
    p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64 << 20);
    p.put(StreamsConfig.STATE_DIR_CONFIG, a[4]);
    p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    p.put("auto.offset.reset", "earliest");
    p.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
    Materialized<String, Bar, WindowStore<Bytes, byte[]>> store =
        a[6].equals("memory")
            ? Materialized.as(Stores.inMemoryWindowStore("bars", length.plusMinutes(1), length, false))
            : Materialized.as("bars");
    StreamsBuilder b = new StreamsBuilder();
    b.stream(a[1], Consumed.with(Serdes.String(), Serdes.ByteArray()))
        .filter((k, v) -> k != null) // watermarks have no key
        .mapValues(KafkaStreamsBars::trade)
        .groupByKey(Grouped.with(Serdes.String(), TRADES))
        .windowedBy(TimeWindows.ofSizeAndGrace(length, Duration.ofSeconds(1)))
        .aggregate(Bar::new, (k, t, bar) -> bar.add(t), store.withKeySerde(Serdes.String()).withValueSerde(BARS))
        .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
        .toStream((w, v) -> w.key() + "@" + w.window().start())
        .to(a[2], Produced.with(Serdes.String(), BARS));
    new KafkaStreams(b.build(), p).start();
  }
}
