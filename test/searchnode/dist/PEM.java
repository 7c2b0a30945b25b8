package com.github.flushline;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLException;

/** A server's side of TLS from one PEM file: a PKCS8 key of an elliptic curve, its certificate, the authority. */
final class PEM {
    /** The file is read each time, so that a certificate can change while the node runs. */
    static SSLEngine engine(String file) throws SSLException {
        try {
            String text = Files.readString(Path.of(file));
            int end = text.indexOf("-----END PRIVATE KEY-----");
            int begin = text.indexOf("-----BEGIN PRIVATE KEY-----") + "-----BEGIN PRIVATE KEY-----".length();
            byte[] der = Base64.getMimeDecoder().decode(text.substring(begin, end));
            PrivateKey key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
            String rest = text.substring(text.indexOf("-----BEGIN CERTIFICATE-----"));
            Certificate[] chain = CertificateFactory.getInstance("X.509")
                .generateCertificates(new ByteArrayInputStream(rest.getBytes(StandardCharsets.US_ASCII)))
                .toArray(new Certificate[0]);
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(null, null);
            store.setKeyEntry("server", key, new char[0], chain);
            KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            keys.init(store, new char[0]);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(keys.getKeyManagers(), null, null);
            SSLEngine engine = context.createSSLEngine();
            engine.setUseClientMode(false);
            return engine;
        } catch (Exception e) {
            throw new SSLException(e);
        }
    }

    private PEM() {}
}
