//! The log: one structured line per event, on standard error.

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging as text. A second start in one process has no effect.
pub fn start_text(level: Level) {
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::io::stderr);
    drop(tracing_subscriber::registry().with(LevelFilter::from_level(level)).with(lines).try_init());
}

/// Starts logging as JSON, one object per line. A second start in one process has no effect.
pub fn start_json(level: Level) {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
    drop(tracing_subscriber::registry().with(LevelFilter::from_level(level)).with(lines).try_init());
}
