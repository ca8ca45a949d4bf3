//! `muster serve`.

use super::output::Output;
use crate::settings::Settings;
use crate::{App, Limits, Listener, Strength, Tls, app, logging};
use anyhow::{Context, bail};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use store::{Options, Sqlite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

pub(super) fn run(settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
    start_logging(settings);
    let runtime = runtime()?;
    let store = open(&settings.store, settings.cache_mib)?;
    let served = runtime.block_on(async {
        let (listener, app) = prepare(settings, &store).await?;
        let address = listener.address()?;
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        output.result(&json!({"listening": format!("{scheme}://{address}")}), || {
            format!("Muster listens on {scheme}://{address}")
        });
        if app.directory.tenants().await.map_err(|r| anyhow::anyhow!("{r:?}"))?.is_empty() {
            tracing::warn!("there is no tenant yet: `muster tenant add NAME`, then `muster connection add NAME --tenant 1`");
        }
        let cut = listener.serve(app.shell, app.metrics, stop_asked()?).await;
        if cut > 0 {
            tracing::warn!(cut, "connections were cut; they had not finished in time");
        }
        Ok::<_, anyhow::Error>(())
    });
    // What a cut connection left running ends here; what it queued is still written by `close`.
    runtime.shutdown_timeout(Duration::from_secs(1));
    store.close();
    served?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn start_logging(settings: &Settings) {
    logging::start(&settings.log_format, settings.log_level.parse().unwrap_or(Level::INFO));
}

pub(super) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime does not start")
}

/// The store at a path; one of PostgreSQL's URLs is not spoken yet.
pub(super) fn open(path: &Path, cache_mib: u32) -> anyhow::Result<Arc<Sqlite>> {
    if path.to_str().is_some_and(|text| text.contains("://")) {
        bail!("--store takes the path of a file");
    }
    Ok(Arc::new(Sqlite::open(path, &Options { cache_mib, ..Options::default() })?))
}

/// The open port and the house behind it.
pub(super) async fn prepare(settings: &Settings, store: &Arc<Sqlite>) -> anyhow::Result<(Listener, App)> {
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
        hash_threads: if settings.hash_threads == 0 { defaults.hash_threads } else { settings.hash_threads },
        hash_queue: defaults.hash_queue,
        strength: Strength::STANDARD,
    };
    let house = app(Arc::clone(store) as _, limits, settings.public_url.clone(), tls.is_some())?;
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

/// Resolves on SIGTERM or Ctrl-C.
pub(super) fn stop_asked() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("no SIGTERM handler")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no SIGINT handler")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
