//! Distinguished names as text (RFC 4514).

use directory::fold;

/// The attribute types and values of a distinguished name, innermost RDN first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dn(Vec<Vec<(String, String)>>);

/// Attribute types that users sign in with.
const LOGIN_ATTRIBUTES: [&str; 4] = ["uid", "samaccountname", "userprincipalname", "mail"];

impl Dn {
    /// `None` if the text is not a distinguished name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut reader = DnParser { rest: text };
        let mut rdns = vec![Vec::new()];
        loop {
            let rdn = reader.attribute_type_and_value()?;
            rdns.last_mut()?.push(rdn);
            if reader.rest.is_empty() {
                return Some(Self(rdns));
            }
            if reader.separator()? != '+' {
                rdns.push(Vec::new());
            }
        }
    }

    /// A key that is equal for all spellings of a name: case and white space do not matter.
    pub(crate) fn normalized(&self) -> String {
        let mut key = String::new();
        for rdn in &self.0 {
            let mut values: Vec<String> = rdn
                .iter()
                .map(|(kind, value)| {
                    let words: Vec<&str> = value.split_whitespace().collect();
                    format!("{kind}\u{0}{}\u{1}", fold(&words.join(" ")))
                })
                .collect();
            values.sort_unstable();
            key.extend(values);
            key.push('\u{2}');
        }
        key
    }

    /// The value of the innermost RDN; of several, the one that users sign in with.
    pub(crate) fn first_rdn_value(&self) -> &str {
        let rdn = self.0.first().map_or(&[][..], Vec::as_slice);
        let login = LOGIN_ATTRIBUTES.iter().find_map(|login| rdn.iter().find(|(kind, _)| kind == login));
        login.or(rdn.first()).map_or("", |(_, value)| value.as_str())
    }
}

/// The short name of an attribute type (RFC 4514 section 3) in lower case.
fn short_name(kind: &str) -> &str {
    match kind.strip_prefix("oid.").unwrap_or(kind) {
        "2.5.4.3" | "commonname" => "cn",
        "2.5.4.7" | "localityname" => "l",
        "2.5.4.8" | "stateorprovincename" => "st",
        "2.5.4.10" | "organizationname" => "o",
        "2.5.4.11" | "organizationalunitname" => "ou",
        "2.5.4.6" | "countryname" => "c",
        "2.5.4.9" | "streetaddress" => "street",
        "0.9.2342.19200300.100.1.25" | "domaincomponent" => "dc",
        "0.9.2342.19200300.100.1.1" | "userid" => "uid",
        _ => kind,
    }
}

/// Decodes a string in hexadecimal BER encoding (RFC 4514 section 2.4).
fn decode_ber_string(digits: &str) -> Option<String> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let bytes: Vec<u8> = pairs.collect::<Option<_>>()?;
    // UTF8String, NumericString, PrintableString, IA5String.
    let (0x0C | 0x12 | 0x13 | 0x16, [length, rest @ ..]) = bytes.split_first()? else { return None };
    let (length, text) = match length & 0x7F {
        length if length == bytes[1] => (usize::from(length), rest),
        octets => {
            let (octets, text) = rest.split_at_checked(usize::from(octets).min(8))?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), text)
        }
    };
    (length == text.len()).then(|| String::from_utf8(text.to_vec()).ok()).flatten()
}

struct DnParser<'a> {
    rest: &'a str,
}

impl DnParser<'_> {
    fn attribute_type_and_value(&mut self) -> Option<(String, String)> {
        let (kind, rest) = self.rest.split_once('=')?;
        let kind = kind.trim();
        let is_type = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if kind.is_empty() || !kind.chars().all(is_type) {
            return None;
        }
        self.rest = rest.trim_start_matches(' ');
        let is_encoded = self.rest.starts_with('#');
        let value = if self.rest.starts_with('"') { self.quoted_value()? } else { self.string_value()? };
        let decoded = value.get(1..).filter(|_| is_encoded).and_then(decode_ber_string);
        Some((short_name(&kind.to_ascii_lowercase()).to_owned(), decoded.unwrap_or(value)))
    }

    /// A value up to the next unescaped separator. Trailing spaces belong to it only if escaped.
    fn string_value(&mut self) -> Option<String> {
        let (mut bytes, mut length) = (Vec::new(), 0);
        while let Some(c) = self.rest.chars().next().filter(|c| !matches!(c, ',' | ';' | '+')) {
            if c == '\\' {
                self.unescape(&mut bytes)?;
                length = bytes.len();
                continue;
            }
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            if c != ' ' {
                length = bytes.len();
            }
            self.rest = &self.rest[c.len_utf8()..];
        }
        bytes.truncate(length);
        String::from_utf8(bytes).ok()
    }

    /// A quoted value, as RFC 2253 allows.
    fn quoted_value(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        self.rest = self.rest.strip_prefix('"')?;
        loop {
            match self.rest.chars().next()? {
                '"' => {
                    self.rest = self.rest[1..].trim_start_matches(' ');
                    return String::from_utf8(bytes).ok();
                }
                '\\' => self.unescape(&mut bytes)?,
                c => {
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    self.rest = &self.rest[c.len_utf8()..];
                }
            }
        }
    }

    /// An escape sequence: a byte in two hexadecimal digits, or a character.
    fn unescape(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
        let behind = self.rest.strip_prefix('\\')?;
        let byte = behind.get(..2).filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if let Some(byte) = byte.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            bytes.push(byte);
            self.rest = &behind[2..];
            return Some(());
        }
        let c = behind.chars().next()?;
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        self.rest = &behind[c.len_utf8()..];
        Some(())
    }

    fn separator(&mut self) -> Option<char> {
        let c = self.rest.chars().next().filter(|c| matches!(c, ',' | ';' | '+'))?;
        self.rest = self.rest[1..].trim_start_matches(' ');
        Some(c)
    }
}

/// The distinguished names in a cell. csvde separates them by unescaped semicolons.
pub(crate) fn split_dns(text: &str) -> Vec<&str> {
    let (mut all, mut start, mut is_escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            ';' if !is_escaped => {
                all.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    all.push(&text[start..]);
    all.into_iter().map(str::trim).filter(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<String> {
        Some(Dn::parse(text)?.first_rdn_value().to_owned())
    }

    #[test]
    fn values_are_unescaped() {
        for (text, wanted) in [
            (r"CN=VPN\, Users,OU=Groups,DC=x", "VPN, Users"),
            (r"CN=R\26D \2B x,DC=x", "R&D + x"),
            (r"CN=J\C3\BCrgen,DC=x", "Jürgen"),
            (r"cn = Ann Lee , dc=x", "Ann Lee"),
            (r"CN=\ a\ ,DC=x", " a "),
            (r#"CN="Smith, Jr.",DC=x"#, "Smith, Jr."),
            ("UID=bob+cn=x,dc=x", "bob"),
            ("cn=x+UID=bob,dc=x", "bob"),
            (r"CN=a\\,DC=x", r"a\"),
            ("CN=,DC=x", ""),
            ("cn=#0C03416E6E,dc=x", "Ann"),
            ("cn=#0C8103416E6E", "Ann"),
            ("cn=#0C04416E6E,dc=x", "#0C04416E6E"),
            ("cn=#1,dc=x", "#1"),
            ("cn=#,dc=x", "#"),
        ] {
            assert_eq!(name(text).as_deref(), Some(wanted), "{text}");
        }
        for text in ["", "Ann Lee", "Sales", "=x", "cn=a,", "a b=c", "cn=a\\", r"CN=\FF"] {
            assert_eq!(name(text), None, "{text}");
        }
    }

    #[test]
    fn spellings_of_one_name_are_equal() {
        let key = |text: &str| Dn::parse(text).map(|dn| dn.normalized());
        let one = key("CN=Ann  Lee,OU=Staff,DC=x");
        assert!(one.is_some());
        for same in
            ["cn=ann lee, ou=staff , dc=X", r"CN=Ann\20Lee;OU=Staff;DC=x", "2.5.4.3=ann lee,OID.2.5.4.11=Staff,dc=x"]
        {
            assert_eq!(key(same), one, "{same}");
        }
        assert_eq!(key("uid=a+cn=b,dc=x"), key("CN=B+UID=A,DC=x"));
        for other in ["CN=Ann Lee,OU=Sta,DC=ff", r"CN=Ann Lee\,OU=Staff,DC=x", "CN=Ann Lee+OU=Staff,DC=x"] {
            assert_ne!(key(other), one, "{other}");
        }
    }

    #[test]
    fn cells_of_csvde_are_split() {
        assert_eq!(split_dns(r"CN=a\;b,DC=x; CN=c,DC=x;"), [r"CN=a\;b,DC=x", "CN=c,DC=x"]);
    }
}
