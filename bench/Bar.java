import java.nio.ByteBuffer;

/** A bar of trades as they come: 48 bytes as it is written. */
public class Bar {
  public double open, high, low, close, volume;
  public long trades;

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

  byte[] write() {
    return ByteBuffer.allocate(48).putDouble(open).putDouble(high).putDouble(low).putDouble(close).putDouble(volume).putLong(trades).array();
  }

  static Bar read(byte[] value) {
    ByteBuffer b = ByteBuffer.wrap(value);
    Bar x = new Bar();
    x.open = b.getDouble();
    x.high = b.getDouble();
    x.low = b.getDouble();
    x.close = b.getDouble();
    x.volume = b.getDouble();
    x.trades = b.getLong();
    return x;
  }
}
