import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
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
 * One-minute bars of the trades of a processed topic by Kafka Streams, exactly once, final rows only: bench/streams.py runs it.
 * Arguments: brokers, topic, output topic, application id, trades in the topic, memory or rocksdb.
 */
public class KafkaStreamsBars {
  static final class Bar {
    double open, high, low, close, volume;
    long trades;

    Bar add(Trade t) {
      if (trades++ == 0) {
        open = high = low = t.price;
      }
      high = Math.max(high, t.price);
      low = Math.min(low, t.price);
      close = t.price;
      volume += t.quantity;
      return this;
    }
  }

  record Trade(double price, double quantity) {}

  static final double[] POW = new double[19];

  static {
    POW[0] = 1;
    for (int i = 1; i < POW.length; i++) {
      POW[i] = 10 * POW[i - 1];
    }
  }

  static long varint(ByteBuffer b) {
    long v = 0;
    for (int shift = 0; ; shift += 7) {
      byte x = b.get();
      v |= (long) (x & 0x7f) << shift;
      if (x >= 0) {
        return v;
      }
    }
  }

  static long zigzag(long u) {
    return (u >>> 1) ^ -(u & 1);
  }

  /** The numbers of a tidemark.v1.Trade behind its frame of six bytes; all else is skipped, which is less than others decode. */
  static Trade trade(byte[] value) {
    ByteBuffer b = ByteBuffer.wrap(value, 6, value.length - 6).order(java.nio.ByteOrder.LITTLE_ENDIAN);
    long price = 0, quantity = 0;
    int priceScale = 0, quantityScale = 0;
    while (b.hasRemaining()) {
      int tag = (int) varint(b);
      switch (tag & 7) {
        case 0 -> {
          long v = varint(b);
          switch (tag >>> 3) {
            case 6 -> price = zigzag(v);
            case 7 -> priceScale = (int) v;
            case 8 -> quantity = zigzag(v);
            case 9 -> quantityScale = (int) v;
            default -> {}
          }
        }
        case 1 -> b.getLong();
        case 2 -> {
          int n = (int) varint(b);
          b.position(b.position() + n);
        }
        default -> throw new IllegalArgumentException("wire type");
      }
    }
    return new Trade(price / POW[priceScale], quantity / POW[quantityScale]);
  }

  static final Serde<Trade> TRADES =
      Serdes.serdeFrom((t, x) -> ByteBuffer.allocate(16).putDouble(x.price).putDouble(x.quantity).array(), (t, v) -> trade(v));

  static final Serializer<Bar> WRITE =
      (t, x) -> {
        if (x == null) {
          return null;
        }
        return ByteBuffer.allocate(48).putDouble(x.open).putDouble(x.high).putDouble(x.low).putDouble(x.close).putDouble(x.volume).putLong(x.trades).array();
      };
  static final Deserializer<Bar> READ =
      (t, v) -> {
        if (v == null) {
          return null;
        }
        ByteBuffer b = ByteBuffer.wrap(v);
        Bar x = new Bar();
        x.open = b.getDouble();
        x.high = b.getDouble();
        x.low = b.getDouble();
        x.close = b.getDouble();
        x.volume = b.getDouble();
        x.trades = b.getLong();
        return x;
      };
  static final Serde<Bar> BARS = Serdes.serdeFrom(WRITE, READ);

  static double cpu() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime() / 1e9;
  }

  public static void main(String[] a) throws Exception {
    long want = Long.parseLong(a[4]);
    Duration minute = Duration.ofMinutes(1);
    Properties p = new Properties();
    p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, a[0]);
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, a[3]);
    p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
    p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
    p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64 << 20);
    p.put(StreamsConfig.STATE_DIR_CONFIG, System.getProperty("state"));
    p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    p.put("auto.offset.reset", "earliest");
    p.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
    AtomicLong trades = new AtomicLong(), rows = new AtomicLong(), counted = new AtomicLong();
    double[] first = {0, 0};
    Materialized<String, Bar, WindowStore<Bytes, byte[]>> store =
        a[5].equals("memory")
            ? Materialized.as(Stores.inMemoryWindowStore("bars", Duration.ofMinutes(2), minute, false))
            : Materialized.as("bars");
    StreamsBuilder b = new StreamsBuilder();
    b.stream(a[1], Consumed.with(Serdes.String(), Serdes.ByteArray()))
        .filter((k, v) -> k != null) // watermarks have no key
        .mapValues(KafkaStreamsBars::trade)
        .filter(
            (k, v) -> {
              if (trades.getAndIncrement() == 0) {
                first[0] = System.nanoTime() / 1e9;
                first[1] = cpu();
              }
              return true;
            })
        .groupByKey(Grouped.with(Serdes.String(), TRADES))
        .windowedBy(TimeWindows.ofSizeAndGrace(minute, Duration.ofSeconds(1)))
        .aggregate(Bar::new, (k, t, bar) -> bar.add(t), store.withKeySerde(Serdes.String()).withValueSerde(BARS))
        .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
        .toStream((w, v) -> w.key() + "@" + w.window().start())
        .peek(
            (k, v) -> {
              rows.incrementAndGet();
              counted.addAndGet(v.trades);
            })
        .to(a[2], Produced.with(Serdes.String(), BARS));
    try (KafkaStreams s = new KafkaStreams(b.build(), p)) {
      s.start();
      while (trades.get() < want) {
        Thread.sleep(20);
      }
      double end = System.nanoTime() / 1e9;
      Thread.sleep(1500); // until the last transaction is committed
      System.out.printf("{\"trades\": %d, \"rows\": %d, \"counted\": %d, \"wall\": %.3f, \"start_cpu\": %.3f}%n", trades.get(), rows.get(), counted.get(), end - first[0], first[1]);
      System.out.flush();
      Runtime.getRuntime().halt(0);
    }
  }
}
