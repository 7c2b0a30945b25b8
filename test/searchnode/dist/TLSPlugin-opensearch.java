package com.github.flushline;

import java.util.Optional;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLException;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Settings;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.plugins.Plugin;
import org.opensearch.plugins.SecureHttpTransportSettingsProvider;
import org.opensearch.plugins.SecureSettingsFactory;
import org.opensearch.plugins.SecureTransportSettingsProvider;
import org.opensearch.plugins.TransportExceptionHandler;

/** HTTPS with http.type=netty4-secure, from the PEM file that gate.pem names. */
abstract class TLSPlugin extends Plugin {
    static final Setting<String> PEM = Setting.simpleString("gate.pem", Setting.Property.NodeScope);
    private final String file;

    TLSPlugin(Settings settings) {
        file = PEM.get(settings);
    }

    @Override
    public Optional<SecureSettingsFactory> getSecureSettingFactory(Settings settings) {
        if (file.isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(new SecureSettingsFactory() {
            @Override
            public Optional<SecureTransportSettingsProvider> getSecureTransportSettingsProvider(Settings s) {
                return Optional.empty();
            }

            @Override
            public Optional<SecureHttpTransportSettingsProvider> getSecureHttpTransportSettingsProvider(Settings s) {
                return Optional.of(new SecureHttpTransportSettingsProvider() {
                    @Override
                    public Optional<TransportExceptionHandler> buildHttpServerExceptionHandler(Settings s, HttpServerTransport t) {
                        return Optional.of(TransportExceptionHandler.NOOP);
                    }

                    @Override
                    public Optional<SSLEngine> buildSecureHttpServerEngine(Settings s, HttpServerTransport t) throws SSLException {
                        return Optional.of(com.github.flushline.PEM.engine(file));
                    }
                });
            }
        });
    }
}
