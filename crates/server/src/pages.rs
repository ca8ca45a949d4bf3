//! The server's own pages: health, figures, and the documentation of the APIs, which needs no internet.

use crate::Metrics;
use bytes::Bytes;
use dialects::kit::{DialectResponse, ResponseBody};
use directory::{Directory, DirectoryError, Health, TaskHealth};
use http::{HeaderValue, Method, Response, StatusCode, header};
use std::fmt::Write;
use std::sync::OnceLock;

/// One of the server's own pages.
#[derive(Clone, Copy)]
pub(crate) enum OwnPage {
    Alive,
    Ready,
    Figures,
    OpenApi,
    /// A part of the documentation: its media type and content.
    Docs(&'static str, &'static str),
    /// No part of the documentation.
    Missing,
}

/// Said where a pooler would have sent reads to a standby, which may be behind.
const BALANCED: &str = "ready; a pooler sends reads to a standby, so they are marked to go to the primary\n";

impl OwnPage {
    /// Whether it says how the server is.
    pub(crate) fn is_health(self) -> bool {
        matches!(self, Self::Alive | Self::Ready)
    }

    pub(crate) fn is_metrics(self) -> bool {
        matches!(self, Self::Figures)
    }
}

/// Their paths, whose letter case matters.
pub(crate) const PATHS: [(&str, OwnPage); 8] = [
    ("/healthz", OwnPage::Alive),
    ("/readyz", OwnPage::Ready),
    ("/metrics", OwnPage::Figures),
    ("/openapi.json", OwnPage::OpenApi),
    ("/docs", OwnPage::Docs("text/html; charset=utf-8", include_str!("../assets/docs.html"))),
    ("/docs/start.js", OwnPage::Docs("text/javascript", include_str!("../assets/start.js"))),
    ("/docs/swagger-ui-bundle.js", OwnPage::Docs("text/javascript", BUNDLE)),
    ("/docs/swagger-ui.css", OwnPage::Docs("text/css", STYLE)),
];

/// Swagger UI as its makers publish it; version and license stand beside the files.
const BUNDLE: &str = include_str!("../assets/swagger-ui/swagger-ui-bundle.js");
const STYLE: &str = include_str!("../assets/swagger-ui/swagger-ui.css");

/// Swagger UI sets styles on elements; nothing else may run or load.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Answers a request for a page.
pub(crate) async fn answer(
    page: OwnPage,
    method: &Method,
    directory: &Directory,
    metrics: &Metrics,
) -> DialectResponse {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    if !is_read && !matches!(page, OwnPage::Missing) {
        let mut answer = empty(StatusCode::METHOD_NOT_ALLOWED);
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
        return answer;
    }
    match page {
        OwnPage::Alive => text(StatusCode::OK, "alive\n"),
        OwnPage::Ready => match directory.health().await {
            Ok(Health { unwritable_reason: Some(obstacle), .. }) => {
                text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {obstacle}\n"))
            }
            Ok(health) => text(StatusCode::OK, ready(&health, &metrics.tasks.health())),
            Err(DirectoryError::Unavailable(_)) => {
                text(StatusCode::SERVICE_UNAVAILABLE, "the store rejects changes or does not answer\n")
            }
            Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
        },
        OwnPage::Figures => {
            let health = directory.health().await.ok();
            let figures = metrics.page(health.as_ref());
            with_type("application/openmetrics-text; version=1.0.0; charset=utf-8", figures)
        }
        OwnPage::OpenApi => with_type("application/json", openapi()),
        OwnPage::Docs(media, content) => {
            let mut answer = with_type(media, content);
            answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            answer
        }
        OwnPage::Missing => empty(StatusCode::NOT_FOUND),
    }
}

/// That the server is ready, and what an administrator should know all the same.
fn ready(health: &Health, own: &[TaskHealth]) -> String {
    let mut text = if health.reads_may_use_standby { BALANCED.to_owned() } else { "ready\n".to_owned() };
    for TaskHealth { name, panics, is_restarting: is_down } in own.iter().chain(&health.tasks) {
        let state = if *is_down { "is being restarted" } else { "runs again" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "the background task {name} {state} after {panics} panics, see the log");
    }
    text
}

fn openapi() -> Bytes {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    TEXT.get_or_init(|| dialects::openapi(env!("CARGO_PKG_VERSION")).to_string().into()).clone()
}

fn empty(status: StatusCode) -> DialectResponse {
    let mut answer = Response::new(ResponseBody::default());
    *answer.status_mut() = status;
    answer
}

/// Plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> DialectResponse {
    let mut answer = Response::new(ResponseBody::from(text.into()));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    answer
}

fn with_type(media: &'static str, body: impl Into<Bytes>) -> DialectResponse {
    let mut answer = Response::new(ResponseBody::from(body.into()));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_tasks_that_have_panicked() {
        let task = |name, is_down| TaskHealth { name, panics: 2, is_restarting: is_down };
        let health = Health { tasks: vec![task("sequencer", false)], ..Health::default() };
        assert_eq!(
            ready(&health, &[task("mails", true)]),
            "ready\nthe background task mails is being restarted after 2 panics, see the log\n\
             the background task sequencer runs again after 2 panics, see the log\n"
        );
        assert_eq!(ready(&Health::default(), &[]), "ready\n");
    }
}
