import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Properties;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.WindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Bars of the trades of a processed topic by Flink, all of it in this process, exactly once, final rows only, until it is killed:
 * bench/streams.py runs it. Arguments: brokers, topic, output topic, name of the job, folder of its checkpoints, length of a bar in ms.
 */
public class FlinkBars {
  /** A trade on its way to the task that its symbol belongs to: of public fields, which Flink writes without Kryo. */
  public static final class Tick extends Trade {
    public String symbol;
  }

  static final class Decode implements KafkaRecordDeserializationSchema<Tick> {
    final Tick tick = new Tick();

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> r, Collector<Tick> out) {
      if (r.key() == null) {
        return; // watermarks have no key
      }
      tick.symbol = new String(r.key(), StandardCharsets.UTF_8);
      tick.decode(r.value());
      out.collect(tick);
    }

    @Override
    public TypeInformation<Tick> getProducedType() {
      return TypeInformation.of(Tick.class);
    }
  }

  static final class Add implements AggregateFunction<Tick, Bar, Bar> {
    @Override
    public Bar createAccumulator() {
      return new Bar();
    }

    @Override
    public Bar add(Tick t, Bar bar) {
      return bar.add(t);
    }

    @Override
    public Bar getResult(Bar bar) {
      return bar;
    }

    @Override
    public Bar merge(Bar a, Bar b) {
      throw new UnsupportedOperationException();
    }
  }

  static final class Row implements WindowFunction<Bar, Tuple2<String, Bar>, String, TimeWindow> {
    @Override
    public void apply(String symbol, TimeWindow w, Iterable<Bar> bars, Collector<Tuple2<String, Bar>> out) {
      out.collect(Tuple2.of(symbol + "@" + w.getStart(), bars.iterator().next()));
    }
  }

  public static void main(String[] a) throws Exception {
    String topic = a[2];
    Configuration c = new Configuration();
    c.setString("execution.checkpointing.interval", "1 s");
    c.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
    c.setString("execution.checkpointing.storage", "filesystem");
    c.setString("execution.checkpointing.dir", "file://" + a[4]);
    c.setString("state.backend.type", "hashmap");
    c.setString("pipeline.object-reuse", "true");
    c.setString("pipeline.generic-types", "false");
    c.setString("restart-strategy.type", "none");
    Properties p = new Properties();
    p.put("compression.type", "lz4");
    p.put("transaction.timeout.ms", "600000");
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(2, c);
    KafkaSource<Tick> source =
        KafkaSource.<Tick>builder()
            .setBootstrapServers(a[0])
            .setTopics(a[1])
            .setGroupId(a[3])
            .setStartingOffsets(OffsetsInitializer.earliest())
            .setProperty("isolation.level", "read_committed")
            .setProperty("partition.discovery.interval.ms", "-1")
            .setProperty("max.poll.records", "5000")
            .setDeserializer(new Decode())
            .build();
    KafkaSink<Tuple2<String, Bar>> sink =
        KafkaSink.<Tuple2<String, Bar>>builder()
            .setBootstrapServers(a[0])
            .setKafkaProducerConfig(p)
            .setRecordSerializer(
                (KafkaRecordSerializationSchema<Tuple2<String, Bar>>)
                    (row, context, at) -> new ProducerRecord<>(topic, row.f0.getBytes(StandardCharsets.UTF_8), row.f1.write()))
            .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
            .setTransactionalIdPrefix(a[3])
            .build();
    env.fromSource(source, WatermarkStrategy.forBoundedOutOfOrderness(Duration.ofSeconds(1)), "trades")
        .keyBy(t -> t.symbol)
        .window(TumblingEventTimeWindows.of(Duration.ofMillis(Long.parseLong(a[5]))))
        .aggregate(new Add(), new Row())
        .sinkTo(sink);
    env.execute(a[3]);
  }
}
