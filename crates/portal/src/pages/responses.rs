//! Builds responses: common pages and headers.

use super::PageResult;
use crate::templates::render;
use bytes::Bytes;
use cookie::Cookie;
use directory::DirectoryError;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// Nothing may run, load from elsewhere, or show these pages in a frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

#[derive(Serialize)]
struct MessagePage<'a> {
    tenant: &'a str,
    notice: &'a str,
    problem: &'a str,
    heading: &'a str,
    paragraphs: &'a [&'a str],
    links: Vec<NavLink>,
}

/// A link on a message page.
#[derive(Serialize)]
pub(super) struct NavLink {
    pub(super) href: String,
    pub(super) label: &'static str,
}

/// Renders a page from a template.
pub(super) fn render_page<T: Serialize>(status: u16, template: &str, context: &T) -> PageResult {
    let mut page = Response::new(Bytes::from(render(template, context)?));
    *page.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let content_type = HeaderValue::from_static("text/html; charset=utf-8");
    page.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(page)
}

/// A page with a message and links.
pub(super) fn message_page(tenant: &str, status: u16, heading: &str, text: &[&str], links: Vec<NavLink>) -> PageResult {
    let page = MessagePage { tenant, notice: "", problem: "", heading, paragraphs: text, links };
    render_page(status, "message.html", &page)
}

/// For errors that need no template.
pub(super) fn plain_text(status: u16, text: &str) -> Response<Bytes> {
    let mut page = Response::new(Bytes::from(format!("{text}\n")));
    *page.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    page
}

pub(super) fn stylesheet(text: &'static str) -> Response<Bytes> {
    let mut page = Response::new(Bytes::from_static(text.as_bytes()));
    page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    page
}

pub(super) fn method_not_allowed() -> Response<Bytes> {
    let mut page = plain_text(405, "Method not allowed. Use GET for pages and POST for forms.");
    page.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    page
}

pub(super) fn redirect(path: &str) -> Response<Bytes> {
    let mut page = Response::new(Bytes::new());
    *page.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(value) = HeaderValue::from_str(path) {
        page.headers_mut().insert(header::LOCATION, value);
    }
    page
}

pub(super) fn with_cookie(mut page: Response<Bytes>, cookie: &Cookie<'_>) -> Response<Bytes> {
    if let Ok(value) = HeaderValue::try_from(cookie.to_string()) {
        page.headers_mut().append(header::SET_COOKIE, value);
    }
    page
}

/// Adds `Retry-After` if the error has a delay.
pub(super) fn with_retry_after(mut page: Response<Bytes>, error: &DirectoryError) -> Response<Bytes> {
    use directory::SignInError::TooManyAttempts;
    let seconds = match error {
        DirectoryError::Busy { retry_after } | DirectoryError::SignIn(TooManyAttempts { retry_after }) => *retry_after,
        DirectoryError::Unavailable(_) | DirectoryError::Conflict => 5,
        _ => return page,
    };
    page.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    page
}

/// Adds the security headers of pages. The server adds `Cache-Control` and `X-Content-Type-Options` to all responses.
pub(super) fn with_security_headers(mut page: Response<Bytes>, is_secure: bool) -> Response<Bytes> {
    let insert = |headers: &mut HeaderMap, name: header::HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    let headers = page.headers_mut();
    insert(headers, header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    // The URL of a page can contain a secret link.
    insert(headers, header::REFERRER_POLICY, "no-referrer");
    insert(headers, header::X_FRAME_OPTIONS, "DENY");
    if is_secure {
        insert(headers, header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    page
}
