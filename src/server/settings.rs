//! From checked settings to a server: which option goes where.

use super::{Builder, MakeDialect};
use crate::dialect::Pace;
use crate::dialect::channelstream::access::Scheme;
use crate::dialect::channelstream::{self, Channelstream};
use crate::engine::{AdminAccess, DevPage, EngineConfig};
use crate::hub::HubConfig;
use crate::limits::CS_POLL_FRAMES_MAX;
use crate::options::{self, Config, ListenAddr};
use crate::reactor::{Listen, ReactorOptions};
use crate::transport::http::HttpLimits;
use crate::transport::websocket::WsLimits;

impl Builder {
    /// A server with these settings. Certificates are read by the caller and given with
    /// `Builder::tls` (feature `tls`); `dev` is what `fanwire dev` adds.
    pub fn from_config(config: &Config, dev: Option<DevPage>) -> Self {
        let mut builder = Self::new()
            .engine(engine_config(config, dev))
            .reactor(reactor_options(config))
            .drain_ms(config.timeouts.drain_ms);
        for at in &config.listen {
            builder = builder.listen(match at {
                ListenAddr::Tcp(address) => Listen::Tcp(*address),
                ListenAddr::Tls(address) => Listen::Tls(*address),
                ListenAddr::Unix(path) => Listen::Unix(path.clone()),
            });
        }
        for make in dialects(config) {
            builder = builder.dialect(make);
        }
        builder
    }
}

/// What makes the dialects that these settings switch on.
pub fn dialects(config: &Config) -> Vec<MakeDialect> {
    let mut dialects: Vec<MakeDialect> = Vec::new();
    if config.channelstream.enabled {
        let settings = channelstream_config(config);
        dialects.push(Box::new(move || {
            Box::new(Channelstream::new(settings.clone()))
        }));
    }
    dialects
}

/// Channelstream's part of the settings.
pub fn channelstream_config(config: &Config) -> channelstream::Config {
    let settings = &config.channelstream;
    let login = config.admin_login();
    channelstream::Config {
        secret: settings.secret.expose().to_owned(),
        allow_posting_from: settings.allow_posting_from.clone(),
        allow_cors: settings.allow_cors.clone(),
        validate_requests: settings.validate_requests,
        enforce_https: settings.enforce_https,
        http_scheme: settings.http_scheme.map(|scheme| match scheme {
            options::Scheme::Http => Scheme::Http,
            options::Scheme::Https => Scheme::Https,
        }),
        trusted_proxies: config.trusted_proxies.clone(),
        admin_user: login.map_or_else(String::new, |(user, _)| user.to_owned()),
        admin_secret: login.map_or_else(String::new, |(_, secret)| secret.expose().to_owned()),
        cookie_secret: settings.cookie_secret.expose().to_owned(),
        heartbeat_ms: config.timeouts.channelstream_heartbeat_ms,
        expire_ms: config.timeouts.channelstream_expire_ms,
        return_ms: config.timeouts.channelstream_return_ms,
        poll: Pace {
            wake_ms: config.timeouts.channelstream_poll_ms,
            gather_ms: config.timeouts.channelstream_poll_gather_ms,
            longest_ms: config.timeouts.channelstream_poll_longest_ms,
            frames: CS_POLL_FRAMES_MAX,
        },
        stream_grace_ms: config.timeouts.channelstream_stream_grace_ms,
    }
}

fn reactor_options(config: &Config) -> ReactorOptions {
    ReactorOptions {
        out_queue_bytes: config.limits.out_queue_bytes,
        connections_max: match config.limits.connections {
            0 => None,
            most => Some(most),
        },
        connections_per_address: config.limits.connections_per_address,
        write_stall_ms: config.timeouts.write_stall_ms,
        tls_handshake_ms: config.timeouts.tls_handshake_ms,
        ..ReactorOptions::default()
    }
}

/// The engine's part of the settings.
pub fn engine_config(config: &Config, dev: Option<DevPage>) -> EngineConfig {
    let (limits, timeouts) = (&config.limits, &config.timeouts);
    let (user, password) = config
        .admin_login()
        .map_or((String::new(), String::new()), |(user, password)| {
            (user.to_owned(), password.expose().to_owned())
        });
    EngineConfig {
        http: HttpLimits {
            head_bytes: limits.head_bytes,
            head_count: limits.head_count,
            target_bytes: limits.target_bytes,
            body_bytes: limits.body_bytes,
        },
        websocket: WsLimits {
            message_bytes: limits.message_bytes,
            message_fragments: limits.message_fragments,
        },
        hub: HubConfig {
            channels_per_subscriber: limits.channels_per_subscriber,
            history_messages: limits.history_messages,
            history_bytes: limits.history_bytes,
            members_listed: limits.members_per_channel,
            user_forget_ms: timeouts.user_forget_ms,
            ..HubConfig::default()
        },
        head_ms: timeouts.head_ms,
        idle_ms: timeouts.idle_ms,
        body_stall_ms: timeouts.body_stall_ms,
        ws_close_ms: timeouts.websocket_close_ms,
        ws_ping_after_ms: timeouts.websocket_ping_ms,
        ws_pong_ms: timeouts.websocket_pong_ms,
        pings_per_s: limits.control_frames_per_second,
        messages_per_s: limits.messages_per_second,
        facts_kept: 0,
        admin: AdminAccess {
            user,
            password,
            metrics_token: config.admin.metrics_token.expose().to_owned(),
            open_on_loopback: dev.is_some(),
        },
        dev,
    }
}
