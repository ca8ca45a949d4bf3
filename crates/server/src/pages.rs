//! The server's own pages: health, figures, and the documentation of the APIs, which needs no internet.

use crate::Metrics;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use directory::Directory;
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use std::sync::{Arc, OnceLock};
use tower_service::Service as _;

#[derive(Clone)]
struct Pages {
    directory: Arc<Directory>,
    metrics: Arc<Metrics>,
}

const PATHS: [&str; 5] = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"];

/// The pages.
pub(crate) fn router(directory: Arc<Directory>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(figures))
        .route("/openapi.json", get(|| async { with_type("application/json", openapi()) }))
        .route(
            "/docs",
            get(|| async { docs("text/html; charset=utf-8", include_str!("../assets/docs.html")) }),
        )
        .route(
            "/docs/start.js",
            get(|| async { docs("text/javascript", include_str!("../assets/start.js")) }),
        )
        .route("/docs/swagger-ui-bundle.js", get(|| async { docs("text/javascript", BUNDLE) }))
        .route("/docs/swagger-ui.css", get(|| async { docs("text/css", STYLE) }))
        .with_state(Pages { directory, metrics })
}

/// Swagger UI as its makers publish it; version and license stand beside the files.
const BUNDLE: &str = include_str!("../assets/swagger-ui/swagger-ui-bundle.js");
const STYLE: &str = include_str!("../assets/swagger-ui/swagger-ui.css");

/// The answer, where the path is one of the pages'.
pub(crate) async fn answer(router: &Router, parts: &Parts) -> Option<http::Response<Bytes>> {
    let path = parts.uri.path();
    if !PATHS.contains(&path) && !path.starts_with("/docs/") {
        return None;
    }
    let mut request = Request::new(axum::body::Body::empty());
    *request.method_mut() = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    *request.uri_mut() = parts.uri.clone();
    // A router is always ready and never fails.
    let answer = router.clone().call(request).await.unwrap_or_else(|never| match never {});
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Some(http::Response::from_parts(head, bytes))
}

async fn ready(State(pages): State<Pages>) -> Response {
    match pages.directory.health().await {
        Ok(_) => "ready\n".into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n").into_response(),
    }
}

async fn figures(State(pages): State<Pages>) -> Response {
    let health = pages.directory.health().await.ok();
    let text = pages.metrics.page(health.as_ref());
    with_type("application/openmetrics-text; version=1.0.0; charset=utf-8", text)
}

fn openapi() -> String {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| dialects::openapi(env!("CARGO_PKG_VERSION")).to_string()).clone()
}

fn with_type(media: &'static str, body: impl Into<String>) -> Response {
    let mut answer = body.into().into_response();
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Part of the documentation. Swagger UI sets styles on elements; nothing else may run or load.
fn docs(media: &'static str, body: &'static str) -> Response {
    let mut answer = with_type(media, body);
    let policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                  connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    answer
}
