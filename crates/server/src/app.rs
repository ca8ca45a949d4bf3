//! Composes the application from store, ports, directory, authenticator and HTTP service.

use crate::rate_limiter::InvalidKeyLimiter;
use crate::routes::Routes;
use crate::{HttpService, Imports, Limits, Metrics};
use adapters::{PasswordPool, SystemClock};
use dialects::kit::{AppState, Authenticator, ConcurrencyLimiter, OpenRequests, PagePositions, TokenKeys};
use directory::{Clock, Directory, IdGenerator, PasswordHasher, Store};
use portal::Portal;
use std::path::PathBuf;
use std::sync::Arc;

/// A server without a listener. Tests call it directly.
pub struct App {
    pub directory: Arc<Directory>,
    pub service: Arc<HttpService>,
    pub metrics: Arc<Metrics>,
    /// Uploaded imports; `None` without a directory for them.
    pub imports: Option<Arc<Imports>>,
    pub security_record_days: u32,
}

/// The implementations the application runs on.
pub struct Ports {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdGenerator>,
    /// `None` starts a pool of threads as [`Limits`] configure it.
    pub hasher: Option<Arc<dyn PasswordHasher>>,
}

impl Ports {
    /// Uses the system clock.
    pub fn new(store: Arc<dyn Store>, ids: Arc<dyn IdGenerator>) -> Self {
        Self { store, clock: Arc::new(SystemClock), ids, hasher: None }
    }
}

/// How clients reach the server.
#[derive(Clone, Debug, Default)]
pub struct PublicConfig {
    /// Scheme and host for links in responses; the request's Host header if not set.
    pub public_url: Option<String>,
    /// Scheme and address of the listener; the token issuer if there is no public URL.
    pub listen_url: Option<String>,
    pub is_tls: bool,
    /// Whether browsers connect from other machines, so that cookies must be `Secure`.
    pub has_secure_cookies: bool,
    /// Directory for uploaded imports; without it, uploads are rejected.
    pub imports_dir: Option<PathBuf>,
}

pub fn build_app(parts: Ports, limits: Limits, public_config: PublicConfig) -> anyhow::Result<App> {
    let Ports { store, clock, ids, hasher } = parts;
    let hasher = match hasher {
        Some(hasher) => hasher,
        None => Arc::new(PasswordPool::start(limits.hash_threads, limits.hash_queue, limits.hash_cost)?),
    };
    let directory = Directory::new(store, clock, Arc::clone(&ids), hasher);
    let directory = Arc::new(directory);
    let metrics = Arc::new(Metrics::default());
    let imports = public_config
        .imports_dir
        .map(|folder| Arc::new(Imports::new(folder, limits.import_storage, Arc::clone(&directory))));
    let routes = Arc::new(Routes::new()?);
    let public_url = public_config.public_url.map(|url| url.trim_end_matches('/').to_owned());
    let state = AppState {
        directory: Arc::clone(&directory),
        authenticator: Authenticator::new(Box::new(InvalidKeyLimiter::new(limits.invalid_keys_per_minute))),
        issuer: public_url.clone().or(public_config.listen_url),
        public_url,
        is_tls: public_config.is_tls,
        body_limit: limits.max_body_size,
        token_keys: TokenKeys::default(),
        page_positions: PagePositions::default(),
        open_requests: OpenRequests::default(),
        concurrency: ConcurrencyLimiter::default(),
        routes: Arc::clone(&routes) as _,
        transfers: imports.clone().map(|imports| imports as Arc<dyn dialects::kit::transfers::Transfers>),
    };
    let portal = Portal::new(Arc::clone(&directory), public_config.has_secure_cookies);
    let security_record_days = limits.security_record_days;
    let shell = HttpService::new(state, routes, portal, Arc::clone(&metrics), ids.as_ref(), limits, imports.clone());
    let shell = Arc::new(shell);
    Ok(App { directory, service: shell, metrics, imports, security_record_days })
}
