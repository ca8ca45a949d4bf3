//! The server's own pages: health, metrics and API documentation, which loads nothing from the internet.

use crate::Metrics;
use bytes::Bytes;
use dialects::kit::{DialectResponse, ResponseBody};
use directory::{Directory, DirectoryError, Health, TaskHealth};
use http::{HeaderValue, Method, Response, StatusCode, header};
use std::fmt::Write;
use std::sync::OnceLock;

#[derive(Clone, Copy)]
pub(crate) enum ServerPage {
    Liveness,
    Readiness,
    Metrics,
    OpenApi,
    /// A file of the API documentation: media type and content.
    Docs(&'static str, &'static str),
    /// An unknown path below `/docs/`.
    NotFound,
}

/// For a pooler that would send reads to a standby, which can lag behind.
const READY_BEHIND_POOLER: &str = "ready; a pooler sends reads to a standby, so they are marked to go to the primary\n";

impl ServerPage {
    pub(crate) fn is_health(self) -> bool {
        matches!(self, Self::Liveness | Self::Readiness)
    }

    pub(crate) fn is_metrics(self) -> bool {
        matches!(self, Self::Metrics)
    }
}

/// Paths are case-sensitive.
pub(crate) const PATHS: [(&str, ServerPage); 8] = [
    ("/healthz", ServerPage::Liveness),
    ("/readyz", ServerPage::Readiness),
    ("/metrics", ServerPage::Metrics),
    ("/openapi.json", ServerPage::OpenApi),
    ("/docs", ServerPage::Docs("text/html; charset=utf-8", include_str!("../assets/docs.html"))),
    ("/docs/start.js", ServerPage::Docs("text/javascript", include_str!("../assets/start.js"))),
    ("/docs/swagger-ui-bundle.js", ServerPage::Docs("text/javascript", SWAGGER_UI_JS)),
    ("/docs/swagger-ui.css", ServerPage::Docs("text/css", SWAGGER_UI_CSS)),
];

/// Swagger UI as published; version and license are next to the files.
const SWAGGER_UI_JS: &str = include_str!("../assets/swagger-ui/swagger-ui-bundle.js");
const SWAGGER_UI_CSS: &str = include_str!("../assets/swagger-ui/swagger-ui.css");

/// Swagger UI needs inline styles; nothing else may run or load.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";

pub(crate) async fn respond(
    page: ServerPage,
    method: &Method,
    directory: &Directory,
    metrics: &Metrics,
) -> DialectResponse {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    if !is_read && !matches!(page, ServerPage::NotFound) {
        let mut response = empty_response(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
        return response;
    }
    match page {
        ServerPage::Liveness => plain_text(StatusCode::OK, "alive\n"),
        ServerPage::Readiness => match directory.health().await {
            Ok(Health { unwritable_reason: Some(obstacle), .. }) => {
                plain_text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {obstacle}\n"))
            }
            Ok(health) => plain_text(StatusCode::OK, readiness_text(&health, &metrics.tasks.health())),
            Err(DirectoryError::Unavailable(_)) => {
                plain_text(StatusCode::SERVICE_UNAVAILABLE, "the store rejects changes or does not answer\n")
            }
            Err(_) => plain_text(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
        },
        ServerPage::Metrics => {
            let health = directory.health().await.ok();
            let metrics = metrics.encode(health.as_ref());
            with_content_type("application/openmetrics-text; version=1.0.0; charset=utf-8", metrics)
        }
        ServerPage::OpenApi => with_content_type("application/json", openapi()),
        ServerPage::Docs(media, content) => {
            let mut response = with_content_type(media, content);
            response
                .headers_mut()
                .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
            response
        }
        ServerPage::NotFound => empty_response(StatusCode::NOT_FOUND),
    }
}

/// The text of a successful readiness check, with warnings for the administrator.
fn readiness_text(health: &Health, server_tasks: &[TaskHealth]) -> String {
    let mut text = if health.is_behind_load_balancer { READY_BEHIND_POOLER.to_owned() } else { "ready\n".to_owned() };
    for TaskHealth { name, panics, is_restarting: is_down } in server_tasks.iter().chain(&health.tasks) {
        let state = if *is_down { "is being restarted" } else { "runs again" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "background task {name} {state} after {panics} panics, see the log");
    }
    text
}

fn openapi() -> Bytes {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    TEXT.get_or_init(|| dialects::openapi(env!("CARGO_PKG_VERSION")).to_string().into()).clone()
}

fn empty_response(status: StatusCode) -> DialectResponse {
    let mut response = Response::new(ResponseBody::default());
    *response.status_mut() = status;
    response
}

pub(crate) fn plain_text(status: StatusCode, text: impl Into<Bytes>) -> DialectResponse {
    let mut response = Response::new(ResponseBody::from(text.into()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

fn with_content_type(media: &'static str, body: impl Into<Bytes>) -> DialectResponse {
    let mut response = Response::new(ResponseBody::from(body.into()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_tasks_that_have_panicked() {
        let task = |name, is_down| TaskHealth { name, panics: 2, is_restarting: is_down };
        let health = Health { tasks: vec![task("sequencer", false)], ..Health::default() };
        assert_eq!(
            readiness_text(&health, &[task("mails", true)]),
            "ready\nbackground task mails is being restarted after 2 panics, see the log\n\
             background task sequencer runs again after 2 panics, see the log\n"
        );
        assert_eq!(readiness_text(&Health::default(), &[]), "ready\n");
    }
}
