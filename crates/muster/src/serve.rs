//! `muster serve`.

use adapters::{Argon2Cost, OpenMode, OpenStore, StoreSettings};
use anyhow::{Context, bail};
use cli::{LogFormat, Output, ServerSettings, Settings, runtime};
use directory::{Caller, KeyHash, Purpose};
use gateway::MasterKeySource;
use outbound::{MailSender, RetryPolicy};
use portal::mail::DEFAULT_RETRY_POLICY;
use serde_json::json;
use server::{
    App, BackgroundTasks, ConnectionLimits, GatewayConfig, Limits, Listener, ListenerKind, MailConfig, Ports,
    PublicConfig, StorageLimits, TlsConfig, build_app, hash_key,
};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Time limit of one read of the embedded store. The default response timeout is 30 s.
const MAX_READ_TIME: Duration = Duration::from_mins(1);

pub(crate) fn run(settings: &Settings, server: &ServerSettings, output: Output) -> anyhow::Result<ExitCode> {
    start_logging(server);
    warn_if_readable(settings)?;
    let runtime = runtime()?;
    let store = StoreSettings {
        runtime: Some(runtime.handle().clone()),
        read_timeout: Some(MAX_READ_TIME),
        check_on_open: true,
        ..settings.store_settings()
    };
    let opened = store.engine()?.open(OpenMode::Create)?;
    let served = runtime.block_on(async {
        let PreparedServer { listener, admin, app } = prepare(server, &store, &opened).await?;
        // Install the handler before the address is printed, so that any later signal shuts down gracefully.
        let stop = shutdown_signal()?;
        let address = listener.address()?;
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        let admin_url = admin.as_ref().map(Listener::address).transpose()?.map(|admin| format!("http://{admin}"));
        output.result(&json!({"listening": format!("{scheme}://{address}"), "admin": admin_url}), || {
            let metrics = admin_url.map(|url| format!("; health and metrics: {url}")).unwrap_or_default();
            format!("Muster is listening on {scheme}://{address}{metrics}")
        });
        if app.directory.tenants(&Caller::task(Purpose::Startup)).await.map_err(|r| anyhow::anyhow!("{r:?}"))?.is_empty() {
            tracing::warn!("there is no tenant yet: run `muster tenant add NAME`, then `muster connection add NAME --tenant 1 --dialect DIALECT`");
        }
        let mail = mail_config(server, &store, &format!("{scheme}://{address}"))?;
        let gateway = GatewayConfig {
            keys: MasterKeySource(settings.secrets_key_path()),
            attempt_days: server.push_attempt_days,
        };
        let background = BackgroundTasks::start(&app, mail, gateway);
        let aborted = serve_both(listener, admin, &app, stop).await;
        background.stop().await;
        if aborted > 0 {
            tracing::warn!(aborted, "connections closed before their requests finished (see --drain-timeout)");
        }
        Ok::<_, anyhow::Error>(())
    });
    // First the queued changes are written; then the tasks of aborted connections have a second to end.
    opened.close();
    runtime.shutdown_timeout(Duration::from_secs(1));
    served?;
    tracing::info!("server stopped");
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn start_logging(settings: &ServerSettings) {
    match settings.log_format {
        LogFormat::Text => server::start_text_log(settings.log_level),
        LogFormat::Json => server::start_json_log(settings.log_level),
    }
}

/// Warns if other users of the machine can access the store, for instance after a copy with a lax umask.
fn warn_if_readable(settings: &Settings) -> anyhow::Result<()> {
    let Some(path) = settings.store_settings().sqlite_path()? else { return Ok(()) };
    let mode = std::fs::metadata(&path).map_or(0, |file| file.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        let path = path.display();
        tracing::warn!("other users can access the store {path} (mode {mode:03o}): run `chmod 600 {path}*`");
    }
    Ok(())
}

pub(crate) struct PreparedServer {
    pub(crate) listener: Listener,
    /// Health and metrics.
    pub(crate) admin: Option<Listener>,
    pub(crate) app: App,
}

/// Serves until `stop`; the admin listener ends last. Returns how many connections had to be closed.
pub(crate) async fn serve_both(
    listener: Listener,
    admin: Option<Listener>,
    app: &App,
    stop: impl Future<Output = ()>,
) -> usize {
    let (public_done, served) = tokio::sync::oneshot::channel::<()>();
    let public_task = async {
        let aborted = listener.serve(Arc::clone(&app.service), Arc::clone(&app.metrics), stop).await;
        drop(public_done);
        aborted
    };
    let admin_task = async {
        let Some(admin) = admin else { return };
        admin.serve(Arc::clone(&app.service), Arc::clone(&app.metrics), async { drop(served.await) }).await;
    };
    tokio::join!(public_task, admin_task).0
}

const MAX_ADMIN_CONNECTIONS: usize = 64;
const DEFAULT_ADMIN_LISTEN: &str = "127.0.0.1:9095";

/// Binds the admin listener. If the default address is in use, only warns.
async fn admin_socket(settings: &ServerSettings) -> anyhow::Result<Option<TcpListener>> {
    match settings.admin_listen.as_deref() {
        Some("none") => Ok(None),
        Some(address) => {
            let socket = TcpListener::bind(address).await;
            socket.map(Some).with_context(|| format!("cannot listen on {address} (--admin-listen)"))
        }
        None => match TcpListener::bind(DEFAULT_ADMIN_LISTEN).await {
            Ok(socket) => Ok(Some(socket)),
            Err(error) => {
                tracing::warn!(%error, "cannot listen on {DEFAULT_ADMIN_LISTEN}: health checks and metrics are not available there (set --admin-listen)");
                Ok(None)
            }
        },
    }
}

fn metrics_token(path: &Path) -> anyhow::Result<KeyHash> {
    let context = || format!("cannot read the metrics token {} (--metrics-token-file)", path.display());
    let token = std::fs::read_to_string(path).with_context(context)?;
    let token = token.trim();
    if token.len() < 16 || token.contains(char::is_whitespace) {
        bail!("the metrics token in {} must be one word of at least 16 characters", path.display());
    }
    Ok(hash_key(token))
}

/// Binds the listeners and composes the application.
pub(crate) async fn prepare(
    settings: &ServerSettings,
    store: &StoreSettings,
    opened: &Arc<dyn OpenStore>,
) -> anyhow::Result<PreparedServer> {
    let tls = match (&settings.tls_cert, &settings.tls_key) {
        (Some(certificate), Some(key)) => Some(TlsConfig::load(certificate, key)?),
        (None, None) => None,
        _ => bail!("TLS needs both --tls-cert and --tls-key"),
    };
    let socket =
        TcpListener::bind(&settings.listen).await.with_context(|| format!("cannot listen on {}", settings.listen))?;
    let defaults = Limits::default();
    let limits = Limits {
        max_body_size: settings.body_limit,
        body_timeout: Duration::from_secs(settings.body_timeout),
        response_timeout: Duration::from_secs(settings.response_timeout),
        invalid_keys_per_minute: settings.invalid_keys_per_minute,
        trusted_proxies: settings.trusted_proxies.clone(),
        metrics_token: settings.metrics_token_file.as_deref().map(metrics_token).transpose()?,
        security_record_days: settings.security_record_days,
        hash_threads: if settings.hash_threads == 0 { defaults.hash_threads } else { settings.hash_threads },
        import_storage: StorageLimits {
            tenant_quota: settings.imports_quota_mib.saturating_mul(1 << 20),
            min_free: settings.min_free_disk_mib.saturating_mul(1 << 20),
        },
        hash_queue: defaults.hash_queue,
        hash_cost: Argon2Cost::STANDARD,
    };
    let ports = Ports::new(Arc::clone(opened) as _, store.id_generator());
    // Cookies are `Secure`, unless only this machine can connect.
    let address = socket.local_addr().context("cannot read the listening address")?;
    let is_loopback = address.ip().is_loopback();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let is_https = settings.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
    let public_config = PublicConfig {
        public_url: settings.public_url.clone(),
        listen_url: Some(format!("{scheme}://{address}")),
        is_tls: tls.is_some(),
        has_secure_cookies: tls.is_some() || is_https || !is_loopback,
        imports_dir: Some(settings.imports_dir_or_default(store)),
    };
    let app = build_app(ports, limits, public_config)?;
    let listener = |socket, tls, kind, max_connections| Listener {
        socket,
        tls,
        kind,
        connections: ConnectionLimits {
            total: max_connections,
            per_address: settings.connections_per_address,
            trusted_proxies: settings.trusted_proxies.clone(),
        },
        header_timeout: Duration::from_secs(settings.header_timeout),
        write_timeout: Duration::from_secs(settings.body_timeout),
        drain_timeout: Duration::from_secs(settings.drain_timeout),
    };
    let admin = admin_socket(settings).await?;
    let admin = admin.map(|socket| listener(socket, None, ListenerKind::Admin, MAX_ADMIN_CONNECTIONS));
    let listener = listener(socket, tls, ListenerKind::Public, settings.max_connections);
    Ok(PreparedServer { listener, admin, app })
}

/// Configures mail. Without a public URL, links use the listening address.
fn mail_config(settings: &ServerSettings, store: &StoreSettings, address: &str) -> anyhow::Result<MailConfig> {
    let from = &settings.mail_from;
    let sender = match &settings.smtp_url {
        Some(url) => MailSender::smtp(url, from, Duration::from_secs(settings.smtp_timeout))?,
        None => MailSender::spool(&settings.mail_spool_dir_or_default(store), from, None)?,
    };
    if settings.smtp_url.is_some() && settings.public_url.is_none() {
        tracing::warn!(
            address,
            "links in mails use the listening address; set --public-url to the address that users can reach"
        );
    }
    let url = settings.public_url.clone().unwrap_or_else(|| address.to_owned());
    Ok(MailConfig {
        sender,
        base_url: url,
        retry_policy: RetryPolicy { initial_delay: settings.mail_retry_delay, ..DEFAULT_RETRY_POLICY },
    })
}

/// Resolves on SIGTERM or Ctrl-C.
pub(crate) fn shutdown_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot install the SIGTERM handler")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot install the SIGINT handler")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
