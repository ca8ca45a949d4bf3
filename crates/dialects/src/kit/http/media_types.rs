//! Parses `Accept` and `Content-Type` for all dialects.

use crate::kit::{DialectRequest, RequestError};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MediaRange {
    /// Such as `application/json`, `text/*`, `*/*`; lower-case, without parameters.
    pub(crate) media: String,
    /// 0 to 1000.
    pub(crate) quality: u32,
}

impl MediaRange {
    /// 3 if this range is `media` itself, 2 if it is its `type/*`, 1 if it is `*/*`, 0 if it does not match.
    pub(crate) fn specificity(&self, media: &str) -> u8 {
        if self.media == media {
            3
        } else if self.media == "*/*" {
            1
        } else {
            let kind = self.media.strip_suffix("/*");
            let hit = kind.is_some_and(|kind| media.split_once('/').is_some_and(|(k, _)| k == kind));
            if hit { 2 } else { 0 }
        }
    }
}

/// The entries of all `Accept` headers, at most 64; malformed ones are ignored.
pub(crate) fn accepted_media_ranges(headers: &HeaderMap) -> Vec<MediaRange> {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(parse_media_range).take(64).collect()
}

/// Rejects a request whose `Accept` header excludes all these media types.
pub(crate) fn require_any(request: &DialectRequest, media_types: &[&str]) -> Result<(), RequestError> {
    let accepted = accepted_media_ranges(&request.headers);
    let accepts = |media: &&str| accepted.iter().any(|entry| entry.quality > 0 && entry.specificity(media) > 0);
    let is_acceptable = accepted.is_empty() || media_types.iter().any(accepts);
    if is_acceptable { Ok(()) } else { Err(RequestError::NotAcceptable) }
}

fn parse_media_range(text: &str) -> Option<MediaRange> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    if !media.contains('/') {
        return None;
    }
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let quality = quality.map_or(Some(1.0), |q| q.trim().parse::<f64>().ok())?;
    if !(0.0..=1.0).contains(&quality) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    let quality = (quality * 1000.0) as u32;
    Some(MediaRange { media, quality })
}

/// The media type of the body, lower-case and without parameters; `None` if it is missing or malformed.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let media = text.split(';').next()?.trim().to_ascii_lowercase();
    let (kind, sub) = media.split_once('/')?;
    (!kind.is_empty() && !sub.is_empty() && !sub.contains('/')).then_some(media)
}
