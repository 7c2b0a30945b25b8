package com.github.flushline;

import java.util.List;
import java.util.function.UnaryOperator;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.util.concurrent.ThreadContext;
import org.opensearch.plugins.ActionPlugin;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.rest.BytesRestResponse;
import org.opensearch.rest.RestHandler;

/** What the security plugins do to clients: 401 without the header Authorization that is asked for, and HTTPS. */
public final class GatePlugin extends TLSPlugin implements ActionPlugin {
    private static final Setting<String> AUTHORIZATION = Setting.simpleString("gate.authorization", Setting.Property.NodeScope);
    private final String authorization;

    public GatePlugin(Settings settings) {
        super(settings);
        authorization = AUTHORIZATION.get(settings);
    }

    @Override
    public List<Setting<?>> getSettings() {
        return List.of(AUTHORIZATION, PEM);
    }

    @Override
    public UnaryOperator<RestHandler> getRestHandlerWrapper(ThreadContext context) {
        if (authorization.isEmpty()) {
            return UnaryOperator.identity();
        }
        return handler -> (request, channel, client) -> {
            if (authorization.equals(request.header("Authorization"))) {
                handler.handleRequest(request, channel, client);
                return;
            }
            BytesRestResponse refusal = new BytesRestResponse(RestStatus.UNAUTHORIZED, "missing authentication credentials");
            refusal.addHeader("WWW-Authenticate", "Basic realm=\"test\"");
            channel.sendResponse(refusal);
        };
    }
}
