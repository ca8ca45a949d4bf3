//! Name-value pairs as one string, one `name=value` per line, with `\` as the escape character. Identity
//! providers can map a string to an extension attribute, but no list of objects.

/// A pair without a name is written as its value alone.
pub(super) fn write<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (n, (name, value)) in pairs.enumerate() {
        if n > 0 {
            text.push('\n');
        }
        if name.is_empty() {
            // `=` is escaped, so that no part is read as a name; an empty pair is a line too.
            escape(&mut text, value, true);
            if value.is_empty() {
                text.push('=');
            }
        } else {
            escape(&mut text, name, true);
            text.push('=');
            escape(&mut text, value, false);
        }
    }
    text
}

fn escape(text: &mut String, part: &str, with_equals: bool) {
    for c in part.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '=' if with_equals => text.push_str("\\="),
            c => text.push(c),
        }
    }
}

pub(super) fn parse(text: &str) -> Vec<(String, String)> {
    if text.is_empty() { Vec::new() } else { text.split('\n').map(parse_pair).collect() }
}

fn parse_pair(line: &str) -> (String, String) {
    let (mut name, mut part) = (None, String::new());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => part.push('\n'),
                Some(c) => part.push(c),
                None => part.push('\\'),
            },
            '=' if name.is_none() => name = Some(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    (name.unwrap_or_default(), part)
}

#[cfg(test)]
mod tests {
    use super::{parse, write};

    #[test]
    fn pairs_round_trip() {
        let parts = ["", "a", "a=b", "=", "\\", "\\n", "a\nb", "x = y", "\\=", "日本"];
        for name in parts {
            for value in parts {
                let pairs = [(name, value), ("n", "v"), (name, value)];
                let text = write(pairs.into_iter());
                let again = parse(&text);
                let again: Vec<(&str, &str)> = again.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                assert_eq!(again, pairs, "{text:?}");
            }
        }
        assert_eq!(parse("LinkedIn=https://x.y/?a=b"), [("LinkedIn".into(), "https://x.y/?a=b".into())]);
        assert_eq!(parse("just this"), [(String::new(), "just this".into())]);
    }
}
