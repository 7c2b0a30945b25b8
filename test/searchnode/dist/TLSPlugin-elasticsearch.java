package com.github.flushline;

import org.elasticsearch.common.settings.Setting;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.plugins.Plugin;

/** The transport of Elasticsearch 7 takes no engine from a plugin: no HTTPS. */
abstract class TLSPlugin extends Plugin {
    static final Setting<String> PEM = Setting.simpleString("gate.pem", Setting.Property.NodeScope);

    TLSPlugin(Settings settings) {
        if (!PEM.get(settings).isEmpty()) {
            throw new IllegalArgumentException("gate.pem: HTTPS needs OpenSearch");
        }
    }
}
