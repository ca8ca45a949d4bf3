//! Puts the house together: store, ports, directory, gate, shell.

use crate::rate_limiter::InvalidKeyLimiter;
use crate::routes::Routes;
use crate::{HttpService, Imports, Limits, Metrics};
use adapters::{PasswordPool, SystemClock};
use dialects::kit::{AppState, Authenticator, ConcurrencyLimiter, PagePositions, TokenKeys};
use directory::{Clock, Directory, IdGenerator, PasswordHasher, Store};
use portal::Portal;
use std::path::PathBuf;
use std::sync::Arc;

/// A server without its door: what tests call and the listener serves.
pub struct App {
    /// The directory.
    pub directory: Arc<Directory>,
    /// What answers requests.
    pub service: Arc<HttpService>,
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// Imports that were sent to it, where they are kept.
    pub imports: Option<Arc<Imports>>,
}

/// What a house is built on.
pub struct Ports {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New identities.
    pub ids: Arc<dyn IdGenerator>,
    /// What hashes passwords; threads of its own, as the limits say, when nothing is given.
    pub hasher: Option<Arc<dyn PasswordHasher>>,
}

impl Ports {
    /// On a store, by the machine's clock.
    pub fn new(store: Arc<dyn Store>, ids: Arc<dyn IdGenerator>) -> Self {
        Self { store, clock: Arc::new(SystemClock), ids, hasher: None }
    }
}

/// How a house is seen from outside.
#[derive(Clone, Debug, Default)]
pub struct PublicConfig {
    /// Scheme and host for links in answers; what a client called it, when not set.
    pub public_url: Option<String>,
    /// Scheme and address where it listens: the issuer of tokens, when there is no public URL.
    pub listen_url: Option<String>,
    /// Whether TLS is spoken here.
    pub is_tls: bool,
    /// Whether browsers reach it from other machines, so that cookies must go over TLS.
    pub has_secure_cookies: bool,
    /// Where imports are kept that are sent to it; it takes none, when nothing is said.
    pub imports_dir: Option<PathBuf>,
}

/// The house over a store.
pub fn build_app(parts: Ports, limits: Limits, public_config: PublicConfig) -> anyhow::Result<App> {
    let Ports { store, clock, ids, hasher } = parts;
    let hasher = match hasher {
        Some(hasher) => hasher,
        None => Arc::new(PasswordPool::start(limits.hash_threads, limits.hash_queue, limits.hash_strength)?),
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
        concurrency: ConcurrencyLimiter::default(),
        routes: Arc::clone(&routes) as _,
        transfers: imports.clone().map(|imports| imports as Arc<dyn dialects::kit::transfers::Transfers>),
    };
    let portal = Portal::new(Arc::clone(&directory), public_config.has_secure_cookies);
    let shell = HttpService::new(state, routes, portal, Arc::clone(&metrics), ids.as_ref(), limits, imports.clone());
    let shell = Arc::new(shell);
    Ok(App { directory, service: shell, metrics, imports })
}
