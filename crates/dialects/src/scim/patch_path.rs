//! Parses PATCH paths (RFC 7644 section 3.5.2), distinguishing unknown attributes from syntax errors.

use super::filter::{MAX_LENGTH, ParseError, ParseResult, Parser, Scope};
use super::schema::ResolvedName;
use super::wire::ResourceType;
use crate::kit::Property;
use crate::scim::filter::is_attribute_name;
use directory::Filter;

impl<'a> Parser<'a> {
    pub(super) fn parse_path(
        text: &'a str,
        resource_type: &'static ResourceType,
        is_strict: bool,
    ) -> ParseResult<(ResolvedName, Option<Filter>, Option<&'static Property>)> {
        let mut parser = Parser::new(text.trim(), Scope::Resource(resource_type), is_strict, MAX_LENGTH)?;
        parser.is_path = true;
        let (start, name) = (parser.offset, parser.parse_name());
        let Some(resolved) = parser.find(resource_type, name) else {
            return Err(parser.unknown_path_error(start, name));
        };
        if parser.rest().is_empty() {
            return Ok((resolved, None, None));
        }
        let ResolvedName::Attribute(attribute) = resolved else {
            return Err(parser.error("an extension cannot have a filter"));
        };
        let (filter, sub) = parser.parse_value_path(&attribute, 0)?;
        parser.expect_end()?;
        match parser.first_unknown {
            Some(unknown) => Err(unknown),
            None => Ok((resolved, Some(filter), sub)),
        }
    }

    /// The syntax error of a path with an unknown attribute, else the unknown attribute.
    fn unknown_path_error(mut self, start: usize, name: &str) -> ParseError {
        let unknown = self.unknown_attribute(start, name);
        if !unknown.is_unknown_attribute || self.rest().is_empty() {
            return unknown;
        }
        self.scope = Scope::Unknown;
        let rest = self.parse_bracketed(0).and_then(|_| {
            if self.consume('.') {
                let (start, name) = (self.offset, self.parse_name());
                if !is_attribute_name(name) {
                    return Err(self.unknown_attribute(start, name));
                }
            }
            self.expect_end()
        });
        rest.err().unwrap_or(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::wire::USER_TYPE;

    #[test]
    fn distinguishes_unknown_attributes_from_syntax_errors() {
        let wrong =
            |path: &str| Parser::parse_path(path, &USER_TYPE, false).err().map(|wrong| wrong.is_unknown_attribute);
        for valid in [
            "userName",
            "manager",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.manager",
            "emails[type eq work].value",
            "emails[type eq \"work\" and primary eq true]",
        ] {
            assert_eq!(wrong(valid), None, "{valid}");
        }
        for unknown in [
            "shoeSize",
            "urn:example:2.0:User:shoe",
            "shoes[size eq 4].color",
            "shoes[size gt \"4\" and (left pr or not (right eq true))]",
            "emails[size eq 4].value",
            "emails[type eq \"work\"].size",
            "name.shoeSize",
        ] {
            assert_eq!(wrong(unknown), Some(true), "{unknown}");
        }
        for bad in [
            "",
            ".",
            "a..b",
            "a.b.c",
            "1a",
            "shoes[",
            "shoes[size]",
            "shoes[size eq ]",
            "shoes size",
            "shoes[size eq 4",
            "shoes[size eq 4].",
            "shoes[size eq 4]x",
            "emails[type eq \"work\"]value",
            "emails[size has 4]",
            "[x]",
        ] {
            assert_eq!(wrong(bad), Some(false), "{bad}");
        }
        let strict = |path: &str| Parser::parse_path(path, &USER_TYPE, true).is_ok();
        assert!(!strict("manager") && !strict("emails[type eq work].value") && strict("userName"));
    }
}
