import java.io.DataInputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.net.Socket;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;

/**
 * A client on the JDK's own TLS, as MQTT.fx and other Java programs are: Device PORT CA|- DOWN UP
 * RUNS. All runs share one SSLContext, so the JDK's session cache decides about resumption. With -
 * for the CA nothing is verified.
 */
public final class Device {
    private static final int PATIENCE_MS = 20000;

    private final DataInputStream in;
    private final OutputStream out;

    private Device(SSLSocket socket) throws IOException {
        in = new DataInputStream(socket.getInputStream());
        out = socket.getOutputStream();
    }

    public static void main(String[] arguments) throws Exception {
        boolean verify = !arguments[1].equals("-");
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, verify ? trust(arguments[1]) : trustAnybody(), null);
        for (int left = Integer.parseInt(arguments[4]); left > 0; left--) {
            SSLSocket socket = (SSLSocket) context.getSocketFactory()
                .createSocket("localhost", Integer.parseInt(arguments[0]));
            socket.setSoTimeout(PATIENCE_MS);
            if (verify) {
                // Without this the JDK checks the chain, and takes any name.
                SSLParameters parameters = socket.getSSLParameters();
                parameters.setEndpointIdentificationAlgorithm("HTTPS");
                socket.setSSLParameters(parameters);
            }
            new Device(socket).run(arguments[2], arguments[3]);
            socket.close();
        }
    }

    private static TrustManager[] trust(String path) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (FileInputStream file = new FileInputStream(path)) {
            store.setCertificateEntry("ca",
                CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory factory =
            TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return factory.getTrustManagers();
    }

    private static TrustManager[] trustAnybody() {
        return new TrustManager[] {new X509ExtendedTrustManager() {
            public void checkClientTrusted(X509Certificate[] c, String t) {}
            public void checkClientTrusted(X509Certificate[] c, String t, Socket s) {}
            public void checkClientTrusted(X509Certificate[] c, String t, SSLEngine e) {}
            public void checkServerTrusted(X509Certificate[] c, String t) {}
            public void checkServerTrusted(X509Certificate[] c, String t, Socket s) {}
            public void checkServerTrusted(X509Certificate[] c, String t, SSLEngine e) {}
            public X509Certificate[] getAcceptedIssuers() {
                return new X509Certificate[0];
            }
        }};
    }

    private void run(String down, String up) throws IOException {
        ByteBuffer body = ByteBuffer.allocate(64);
        body.put(text("MQTT")).put((byte) 4).put((byte) 2).putShort((short) 60).put(text(""));
        send(0x10, body);
        expect(0x20);
        body = ByteBuffer.allocate(512);
        send(0x82, body.putShort((short) 1).put(text(down)).put((byte) 0));
        expect(0x90);
        byte[] packet = expect(0x31);
        int start = 2 + ((packet[0] & 0xFF) << 8 | packet[1] & 0xFF);
        body = ByteBuffer.allocate(512 + packet.length);
        body.put(text(up)).putShort((short) 2).put(packet, start, packet.length - start);
        send(0x32, body);
        expect(0x40);
        send(0xE0, ByteBuffer.allocate(0));
    }

    private static byte[] text(String value) {
        byte[] raw = value.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(2 + raw.length).putShort((short) raw.length).put(raw).array();
    }

    private void send(int first, ByteBuffer body) throws IOException {
        ByteBuffer packet = ByteBuffer.allocate(5 + body.position());
        packet.put((byte) first);
        int left = body.position();
        do {
            packet.put((byte) (left % 128 | (left >= 128 ? 0x80 : 0)));
            left /= 128;
        } while (left > 0);
        packet.put(body.array(), 0, body.position());
        out.write(packet.array(), 0, packet.position());
    }

    private byte[] expect(int first) throws IOException {
        int found = in.readUnsignedByte();
        int size = 0;
        for (int shift = 0, digit = 0x80; (digit & 0x80) != 0; shift += 7) {
            digit = in.readUnsignedByte();
            size |= (digit & 0x7F) << shift;
        }
        if (found != first) {
            throw new IOException("expected packet " + first + ", got " + found);
        }
        byte[] body = new byte[size];
        in.readFully(body);
        return body;
    }
}
