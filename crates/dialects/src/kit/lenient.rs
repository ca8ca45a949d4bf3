//! A second, more tolerant look at JSON that did not parse, for the dialects whose originals took it.

use super::json::MAX_DEPTH;
use super::{Node, Object};

/// What is let pass beyond the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leniency {
    /// A comma before `}` or `]`, and the no-break spaces that examples are printed with.
    TrailingCommas,
    /// That, and what Json.NET takes: single quotes, bare names, comments, hex numbers, text after the end.
    JsonNet,
}

/// Reads a body tolerantly.
pub(crate) fn read(text: &str, leniency: Leniency) -> Result<Node, String> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut reader = Reader { text, at: 0, net: leniency == Leniency::JsonNet };
    let node = reader.value(0)?;
    reader.blanks()?;
    if reader.at < text.len() && !reader.net { Err(reader.wrong("text after the end")) } else { Ok(node) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    net: bool,
}

impl Reader<'_> {
    fn wrong(&self, what: &str) -> String {
        format!("{what} at byte {}", self.at)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn blanks(&mut self) -> Result<(), String> {
        loop {
            let blank =
                self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r', '\u{A0}']).len();
            self.at += blank;
            if !self.net || !self.rest().starts_with('/') {
                return Ok(());
            }
            let skip = if self.rest().starts_with("//") {
                self.rest().find('\n').unwrap_or(self.rest().len())
            } else if self.rest().starts_with("/*") {
                self.rest().find("*/").ok_or_else(|| self.wrong("a comment without end"))? + 2
            } else {
                return Err(self.wrong("a stray slash"));
            };
            self.at += skip;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, String> {
        self.blanks()?;
        match self.peek() {
            Some('{' | '[') if depth >= MAX_DEPTH => Err(self.wrong("nested too deeply")),
            Some('{') => self.object(depth),
            Some('[') => self.list(depth),
            Some('"') => self.text('"').map(Node::Text),
            Some('\'') if self.net => self.text('\'').map(Node::Text),
            Some(_) => self.word(),
            None => Err(self.wrong("the end")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node, String> {
        self.next();
        let mut members = Vec::new();
        loop {
            self.blanks()?;
            if self.eat('}') {
                return Ok(Node::Object(Object { members }));
            }
            let name = match self.peek() {
                Some('"') => self.text('"')?,
                Some('\'') if self.net => self.text('\'')?,
                Some(c) if self.net && (c.is_alphabetic() || matches!(c, '_' | '$')) => {
                    self.bare().to_owned()
                }
                _ => return Err(self.wrong("no name")),
            };
            self.blanks()?;
            if !self.eat(':') {
                return Err(self.wrong("no colon"));
            }
            members.push((name, self.value(depth + 1)?));
            self.blanks()?;
            if !self.eat(',') && self.peek() != Some('}') {
                return Err(self.wrong("no comma"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Node, String> {
        self.next();
        let mut nodes = Vec::new();
        loop {
            self.blanks()?;
            if self.eat(']') {
                return Ok(Node::List(nodes));
            }
            nodes.push(self.value(depth + 1)?);
            self.blanks()?;
            if !self.eat(',') && self.peek() != Some(']') {
                return Err(self.wrong("no comma"));
            }
        }
    }

    fn text(&mut self, quote: char) -> Result<String, String> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next().ok_or_else(|| self.wrong("a text without end"))? {
                c if c == quote => return Ok(text),
                '\\' => {
                    let c = self.escape()?;
                    text.push(c);
                }
                c if c < ' ' && !self.net => return Err(self.wrong("a bare control character")),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        Ok(match self.next() {
            Some(c @ ('"' | '\'' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let high = self.unit()?;
                let pair = (0xD800..0xDC00).contains(&high) && self.rest().starts_with("\\u");
                if pair {
                    self.at += 2;
                    let low = self.unit()?;
                    let both = [u16::try_from(high).unwrap_or(0), u16::try_from(low).unwrap_or(0)];
                    char::decode_utf16(both).next().and_then(Result::ok)
                } else {
                    char::from_u32(high)
                }
                .ok_or_else(|| self.wrong("half a character"))?
            }
            _ => return Err(self.wrong("an unknown escape")),
        })
    }

    fn unit(&mut self) -> Result<u32, String> {
        let digits = self.rest().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|d| u32::from_str_radix(d, 16).ok());
        let unit = unit.ok_or_else(|| self.wrong("a bad \\u escape"))?;
        self.at += 4;
        Ok(unit)
    }

    fn bare(&mut self) -> &str {
        let from = self.at;
        let end = self.rest().find(|c: char| !(c.is_alphanumeric() || "_$+-.".contains(c)));
        self.at += end.unwrap_or(self.rest().len());
        &self.text[from..self.at]
    }

    fn word(&mut self) -> Result<Node, String> {
        let net = self.net;
        let word = self.bare().to_owned();
        match word.as_str() {
            "null" => return Ok(Node::Null),
            "true" => return Ok(Node::Bool(true)),
            "false" => return Ok(Node::Bool(false)),
            _ => {}
        }
        if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"))
            && net
        {
            let number = u64::from_str_radix(hex, 16).map_err(|_| self.wrong("a bad number"))?;
            return Ok(Node::Number(number.to_string()));
        }
        let number: Result<serde_json::Number, _> = serde_json::from_str(&word);
        number.map(|_| Node::Number(word)).map_err(|_| self.wrong("no value"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_pass_what_the_originals_took() {
        let net = |text| read(text, Leniency::JsonNet);
        let comma = |text| read(text, Leniency::TrailingCommas);
        assert_eq!(comma("{\"a\":[1,],}"), crate::kit::json::read("{\"a\":[1]}"));
        assert_eq!(net("{a:'x', /*c*/ \"b\":0x10,} // end\n junk"), comma("{\"a\":\"x\",\"b\":16}"));
        assert_eq!(net("'\\ud83d\\ude00'"), Ok(Node::Text("😀".into())));
        for bad in ["{'a':1}", "{a:1}", "{\"a\":1}/**/", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "[1", "\"x", ""] {
            assert!(comma(bad).is_err(), "{bad}");
        }
        for bad in ["{'a'", "/*", "/", "{a", "'\\ud800'", "0xg", "'\\u12", "tru"] {
            assert!(net(bad).is_err(), "{bad}");
        }
        assert!(net(&"[".repeat(1_000_000)).unwrap_err().contains("deep"));
    }
}
