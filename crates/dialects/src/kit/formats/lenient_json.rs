//! A lenient JSON parser for bodies that the strict one rejects, for dialects whose original APIs accept them.

use crate::kit::json::MAX_DEPTH;
use crate::kit::{Node, Object, SyntaxError};

/// Extensions of the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leniency {
    /// Trailing commas, and the no-break spaces that occur in printed examples.
    TrailingCommas,
    /// Also what Json.NET accepts: single quotes, unquoted names, comments, hex numbers, text after the end.
    JsonNet,
}

pub(crate) fn parse(text: &str, leniency: Leniency) -> Result<Node, SyntaxError> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut reader = Reader { text, position: 0, is_json_net: leniency == Leniency::JsonNet };
    let node = reader.value(0)?;
    reader.skip_whitespace()?;
    if reader.position < text.len() && !reader.is_json_net { Err(reader.error("text after the end")) } else { Ok(node) }
}

struct Reader<'a> {
    text: &'a str,
    position: usize,
    is_json_net: bool,
}

impl Reader<'_> {
    fn error(&self, what: &str) -> SyntaxError {
        SyntaxError(format!("{what} at byte {}", self.position))
    }

    fn rest(&self) -> &str {
        &self.text[self.position..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.position += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.position += wanted.len_utf8();
        }
        found
    }

    fn skip_whitespace(&mut self) -> Result<(), SyntaxError> {
        loop {
            let blank = self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r', '\u{A0}']).len();
            self.position += blank;
            if !self.is_json_net || !self.rest().starts_with('/') {
                return Ok(());
            }
            let skip = if self.rest().starts_with("//") {
                self.rest().find('\n').unwrap_or(self.rest().len())
            } else if self.rest().starts_with("/*") {
                self.rest().find("*/").ok_or_else(|| self.error("unterminated comment"))? + 2
            } else {
                return Err(self.error("unexpected '/'"));
            };
            self.position += skip;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        self.skip_whitespace()?;
        match self.peek() {
            Some('{' | '[') if depth >= MAX_DEPTH => Err(self.error("nested too deeply")),
            Some('{') => self.object(depth),
            Some('[') => self.list(depth),
            Some('"') => self.string('"').map(Node::Text),
            Some('\'') if self.is_json_net => self.string('\'').map(Node::Text),
            Some(_) => self.literal(),
            None => Err(self.error("unexpected end")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        self.next();
        let mut members = Vec::new();
        loop {
            self.skip_whitespace()?;
            if self.eat('}') {
                return Ok(Node::Object(Object { members }));
            }
            let name = match self.peek() {
                Some('"') => self.string('"')?,
                Some('\'') if self.is_json_net => self.string('\'')?,
                Some(c) if self.is_json_net && (c.is_alphabetic() || matches!(c, '_' | '$')) => {
                    self.bare_word().to_owned()
                }
                _ => return Err(self.error("expected a name")),
            };
            self.skip_whitespace()?;
            if !self.eat(':') {
                return Err(self.error("expected ':'"));
            }
            members.push((name, self.value(depth + 1)?));
            self.skip_whitespace()?;
            if !self.eat(',') && self.peek() != Some('}') {
                return Err(self.error("expected ','"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        self.next();
        let mut nodes = Vec::new();
        loop {
            self.skip_whitespace()?;
            if self.eat(']') {
                return Ok(Node::List(nodes));
            }
            nodes.push(self.value(depth + 1)?);
            self.skip_whitespace()?;
            if !self.eat(',') && self.peek() != Some(']') {
                return Err(self.error("expected ','"));
            }
        }
    }

    fn string(&mut self, quote: char) -> Result<String, SyntaxError> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next().ok_or_else(|| self.error("unterminated string"))? {
                c if c == quote => return Ok(text),
                '\\' => {
                    let c = self.escape()?;
                    text.push(c);
                }
                c if c < ' ' && !self.is_json_net => return Err(self.error("unescaped control character")),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        Ok(match self.next() {
            Some(c @ ('"' | '\'' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let high = self.utf16_unit()?;
                let pair = (0xD800..0xDC00).contains(&high) && self.rest().starts_with("\\u");
                if pair {
                    self.position += 2;
                    let low = self.utf16_unit()?;
                    let both = [u16::try_from(high).unwrap_or(0), u16::try_from(low).unwrap_or(0)];
                    char::decode_utf16(both).next().and_then(Result::ok)
                } else {
                    char::from_u32(high)
                }
                .ok_or_else(|| self.error("unpaired surrogate"))?
            }
            _ => return Err(self.error("unknown escape")),
        })
    }

    fn utf16_unit(&mut self) -> Result<u32, SyntaxError> {
        let digits = self.rest().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|d| u32::from_str_radix(d, 16).ok());
        let unit = unit.ok_or_else(|| self.error("invalid \\u escape"))?;
        self.position += 4;
        Ok(unit)
    }

    fn bare_word(&mut self) -> &str {
        let from = self.position;
        let end = self.rest().find(|c: char| !(c.is_alphanumeric() || "_$+-.".contains(c)));
        self.position += end.unwrap_or(self.rest().len());
        &self.text[from..self.position]
    }

    fn literal(&mut self) -> Result<Node, SyntaxError> {
        let net = self.is_json_net;
        let word = self.bare_word().to_owned();
        match word.as_str() {
            "null" => return Ok(Node::Null),
            "true" => return Ok(Node::Bool(true)),
            "false" => return Ok(Node::Bool(false)),
            _ => {}
        }
        if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"))
            && net
        {
            let number = u64::from_str_radix(hex, 16).map_err(|_| self.error("invalid number"))?;
            return Ok(Node::Number(number.to_string()));
        }
        let number: Result<serde_json::Number, _> = serde_json::from_str(&word);
        number.map(|_| Node::Number(word)).map_err(|_| self.error("expected a value"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_original_apis_accept() {
        let net = |text| parse(text, Leniency::JsonNet);
        let comma = |text| parse(text, Leniency::TrailingCommas);
        assert_eq!(comma("{\"a\":[1,],}"), crate::kit::json::parse("{\"a\":[1]}"));
        assert_eq!(net("{a:'x', /*c*/ \"b\":0x10,} // end\n junk"), comma("{\"a\":\"x\",\"b\":16}"));
        assert_eq!(net("'\\ud83d\\ude00'"), Ok(Node::Text("😀".into())));
        for bad in ["{'a':1}", "{a:1}", "{\"a\":1}/**/", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "[1", "\"x", ""] {
            assert!(comma(bad).is_err(), "{bad}");
        }
        for bad in ["{'a'", "/*", "/", "{a", "'\\ud800'", "0xg", "'\\u12", "tru"] {
            assert!(net(bad).is_err(), "{bad}");
        }
        assert!(net(&"[".repeat(1_000_000)).unwrap_err().0.contains("deep"));
    }
}
