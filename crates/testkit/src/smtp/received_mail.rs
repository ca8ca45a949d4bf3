//! An accepted message, with accessors for tests.

use super::mime;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMail {
    /// The envelope sender; empty for the null reverse-path.
    pub from: String,
    /// The envelope recipients.
    pub to: Vec<String>,
    /// Headers and body without dot-stuffing. Invalid UTF-8 is replaced.
    pub raw: String,
}

impl ReceivedMail {
    /// The first header of this name, unfolded and decoded.
    pub fn header(&self, name: &str) -> Option<String> {
        mime::header_value(mime::split_head(&self.raw).0, name).map(|value| mime::decode_encoded_words(&value))
    }

    /// The plain text part, decoded, with LF line ends; empty if there is none.
    pub fn text(&self) -> String {
        mime::find_part(&self.raw, "text/plain").unwrap_or_default()
    }

    /// The HTML part, decoded, with LF line ends; empty if there is none.
    pub fn html(&self) -> String {
        mime::find_part(&self.raw, "text/html").unwrap_or_default()
    }

    /// The links in the plain text, without trailing punctuation.
    pub fn links(&self) -> Vec<String> {
        let text = self.text();
        let mut links = Vec::new();
        let mut rest = text.as_str();
        while let Some(start) = ["http://", "https://"].iter().filter_map(|scheme| rest.find(scheme)).min() {
            let is_end = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"');
            let end = rest[start..].find(is_end).map_or(rest.len(), |length| start + length);
            links.push(rest[start..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', ')', ']']).to_owned());
            rest = &rest[end..];
        }
        links
    }
}
