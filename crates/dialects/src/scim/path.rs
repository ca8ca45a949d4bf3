//! Paths of a PATCH (RFC 7644 section 3.5.2): read as filters are, and an attribute that no table has is told apart from a bad form.

use super::filter::{MAX_LENGTH, Parser, Read, Scope, Wrong};
use super::schema::Named;
use super::wire::Resource;
use crate::kit::Property;
use crate::scim::filter::is_name;
use directory::Filter;

impl<'a> Parser<'a> {
    /// A path of a PATCH: a name, perhaps a condition on one value in brackets, perhaps a part behind it.
    pub(super) fn path(
        text: &'a str,
        resource: &'static Resource,
        is_strict: bool,
    ) -> Read<(Named, Option<Filter>, Option<&'static Property>)> {
        let mut parser = Parser::new(text.trim(), Scope::Resource(resource), is_strict, MAX_LENGTH)?;
        parser.is_path = true;
        let (from, name) = (parser.at, parser.name());
        let Some(found) = parser.find(resource, name) else { return Err(parser.unknown_path(from, name)) };
        if parser.rest().is_empty() {
            return Ok((found, None, None));
        }
        let Named::Attribute(attribute) = found else {
            return Err(parser.wrong("an extension has no values"));
        };
        let (filter, sub) = parser.value_path(&attribute, 0)?;
        parser.end()?;
        match parser.unknown {
            Some(unknown) => Err(unknown),
            None => Ok((found, Some(filter), sub)),
        }
    }

    /// What is wrong with a path that begins with a name that no table has: its form, or else the name.
    fn unknown_path(mut self, from: usize, name: &str) -> Wrong {
        let unknown = self.unknown(from, name);
        if !unknown.is_unknown || self.rest().is_empty() {
            return unknown;
        }
        self.scope = Scope::Unknown;
        let rest = self.in_brackets(0).and_then(|_| {
            if self.take('.') {
                let (from, name) = (self.at, self.name());
                if !is_name(name) {
                    return Err(self.unknown(from, name));
                }
            }
            self.end()
        });
        rest.err().unwrap_or(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::wire::USERS;

    #[test]
    fn unknown_attributes_are_told_from_bad_forms() {
        let wrong = |path: &str| Parser::path(path, &USERS, false).err().map(|wrong| wrong.is_unknown);
        for good in [
            "userName",
            "manager",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.manager",
            "emails[type eq work].value",
            "emails[type eq \"work\" and primary eq true]",
        ] {
            assert_eq!(wrong(good), None, "{good}");
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
        let strict = |path: &str| Parser::path(path, &USERS, true).is_ok();
        assert!(!strict("manager") && !strict("emails[type eq work].value") && strict("userName"));
    }
}
