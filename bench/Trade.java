import com.sun.management.OperatingSystemMXBean;
import java.io.Serializable;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** What a bar takes of a trade. The first that is decoded prints what processor seconds the start took. */
public class Trade implements Serializable {
  public double price, quantity;

  private static boolean begun;
  private static final double[] POW = new double[19];

  static {
    POW[0] = 1;
    for (int i = 1; i < POW.length; i++) {
      POW[i] = 10 * POW[i - 1];
    }
  }

  private static long varint(ByteBuffer b) {
    long v = 0;
    for (int shift = 0; ; shift += 7) {
      byte x = b.get();
      v |= (long) (x & 0x7f) << shift;
      if (x >= 0) {
        return v;
      }
    }
  }

  private static long zigzag(long u) {
    return (u >>> 1) ^ -(u & 1);
  }

  /** Sets the numbers of a tidemark.v1.Trade behind its frame of six bytes; all else is skipped, which is less than others decode. */
  void decode(byte[] value) {
    if (!begun) {
      begun = true;
      long cpu = ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
      System.out.println(cpu / 1e9);
    }
    ByteBuffer b = ByteBuffer.wrap(value, 6, value.length - 6).order(ByteOrder.LITTLE_ENDIAN);
    long priceMantissa = 0, quantityMantissa = 0;
    int priceScale = 0, quantityScale = 0;
    while (b.hasRemaining()) {
      int tag = (int) varint(b);
      switch (tag & 7) {
        case 0 -> {
          long v = varint(b);
          switch (tag >>> 3) {
            case 6 -> priceMantissa = zigzag(v);
            case 7 -> priceScale = (int) v;
            case 8 -> quantityMantissa = zigzag(v);
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
    price = priceMantissa / POW[priceScale];
    quantity = quantityMantissa / POW[quantityScale];
  }
}
