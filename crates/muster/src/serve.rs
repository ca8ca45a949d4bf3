//! `muster serve`.

use adapters::{Engine, StoreSettings, Strength};
use anyhow::{Context, bail};
use cli::{Output, Settings, runtime};
use portal::mail::{Pace, Sender};
use serde_json::json;
use server::{App, Background, Face, Limits, Listener, Parts, Post, Tls, app};
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

pub(crate) fn run(settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
    start_logging(settings);
    warn_if_readable(settings)?;
    let runtime = runtime()?;
    let engine =
        Engine::open(&StoreSettings { runtime: Some(runtime.handle().clone()), ..settings.of_store() })?;
    let served = runtime.block_on(async {
        let (listener, app) = prepare(settings, &engine).await?;
        // From the moment the address is printed, a signal to stop is answered by a drain.
        let stop = stop_asked()?;
        let address = listener.address()?;
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        output.result(&json!({"listening": format!("{scheme}://{address}")}), || {
            format!("Muster listens on {scheme}://{address}")
        });
        if app.directory.tenants().await.map_err(|r| anyhow::anyhow!("{r:?}"))?.is_empty() {
            tracing::warn!("there is no tenant yet: `muster tenant add NAME`, then `muster connection add NAME --tenant 1 --dialect DIALECT`");
        }
        let background = Background::start(&app, post(settings, &format!("{scheme}://{address}"))?);
        let cut = listener.serve(app.shell, app.metrics, stop).await;
        background.stop().await;
        if cut > 0 {
            tracing::warn!(cut, "connections were cut; they had not finished in time");
        }
        Ok::<_, anyhow::Error>(())
    });
    // What is queued is still written; what a cut connection left running ends after that.
    engine.close();
    runtime.shutdown_timeout(Duration::from_secs(1));
    served?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn start_logging(settings: &Settings) {
    server::start_logging(&settings.log_format, settings.log_level.parse().unwrap_or(Level::INFO));
}

/// Warns of a store that other users of the machine can read: it was copied here, or made by another umask.
fn warn_if_readable(settings: &Settings) -> anyhow::Result<()> {
    let Some(path) = settings.of_store().file()? else { return Ok(()) };
    let mode = std::fs::metadata(&path).map_or(0, |file| file.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        let path = path.display();
        tracing::warn!("other users can access the store {path} (mode {mode:03o}): `chmod 600 {path}*`");
    }
    Ok(())
}

/// The open port and the house behind it.
pub(crate) async fn prepare(settings: &Settings, engine: &Engine) -> anyhow::Result<(Listener, App)> {
    let tls = match (&settings.tls_cert, &settings.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::load(certificate, key)?),
        (None, None) => None,
        _ => bail!("TLS takes both --tls-cert and --tls-key"),
    };
    let socket = TcpListener::bind(&settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let defaults = Limits::default();
    let limits = Limits {
        body: settings.body_limit,
        body_time: Duration::from_secs(settings.body_time),
        answer_time: Duration::from_secs(settings.answer_time),
        bad_keys: settings.bad_keys,
        trusted_proxies: settings.trusted_proxies.clone(),
        hash_threads: if settings.hash_threads == 0 { defaults.hash_threads } else { settings.hash_threads },
        hash_queue: defaults.hash_queue,
        strength: Strength::STANDARD,
    };
    let parts = Parts::new(engine.store(), settings.of_store().ids());
    // Cookies go over TLS alone, unless nobody but this machine can ask for them.
    let address = socket.local_addr().context("an address")?;
    let is_near = address.ip().is_loopback();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let is_https = settings.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
    let face = Face {
        public_url: settings.public_url.clone(),
        address: Some(format!("{scheme}://{address}")),
        is_tls: tls.is_some(),
        has_secure_cookies: tls.is_some() || is_https || !is_near,
        imports: Some(settings.imports()),
    };
    let house = app(parts, limits, face)?;
    let listener = Listener {
        socket,
        tls,
        connections: settings.max_connections,
        header_time: Duration::from_secs(settings.header_time),
        write_time: Duration::from_secs(settings.body_time),
        drain_time: Duration::from_secs(settings.drain_time),
    };
    Ok((listener, house))
}

/// How mails go out. Where nobody said how people reach the server, links lead to where it listens.
fn post(settings: &Settings, address: &str) -> anyhow::Result<Post> {
    let from = &settings.mail_from;
    let sender = match &settings.smtp_url {
        Some(url) => Sender::smtp(url, from, Duration::from_secs(settings.mail_time))?,
        None => Sender::spool(&settings.spool(), from, None)?,
    };
    if settings.smtp_url.is_some() && settings.public_url.is_none() {
        tracing::warn!(
            address,
            "links in mails lead to where the server listens; --public-url says where people reach it"
        );
    }
    let url = settings.public_url.clone().unwrap_or_else(|| address.to_owned());
    Ok(Post { sender, url, pace: Pace { first: settings.mail_retry, ..Pace::default() } })
}

/// Resolves on SIGTERM or Ctrl-C.
pub(crate) fn stop_asked() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("no SIGTERM handler")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no SIGINT handler")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
