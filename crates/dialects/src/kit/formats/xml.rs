//! Parses and writes XML with quick-xml's events. The parser compares local names only, and rejects DTDs and all
//! entities except the five predefined ones.
//!
//! Attributes are ignored except `nil`, and not checked for duplicates, so that many attributes cost nothing.

use crate::kit::{Node, Object, OutputValue, SyntaxError};
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

const MAX_DEPTH: usize = 32;
const MAX_ELEMENTS: usize = 100_000;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) root: String,
    pub(crate) node: Node,
}

struct OpenElement {
    name: String,
    is_nil: bool,
    text: String,
    members: Vec<(String, Node)>,
}

impl OpenElement {
    fn new(start: &BytesStart<'_>) -> Self {
        let name = start.local_name().as_ref().to_owned();
        Self { name, is_nil: is_nil(start), text: String::new(), members: Vec::new() }
    }

    fn into_node(self) -> Node {
        if self.is_nil {
            Node::Null
        } else if self.members.is_empty() {
            Node::Text(self.text)
        } else {
            Node::Object(Object { members: self.members })
        }
    }
}

fn is_nil(start: &BytesStart<'_>) -> bool {
    start.attributes().with_checks(false).flatten().any(|attribute| {
        attribute.key.local_name().as_ref() == "nil" && matches!(attribute.value.as_ref(), "true" | "1")
    })
}

pub(crate) fn parse(text: &str) -> Result<Document, SyntaxError> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let (mut open_elements, mut document): (Vec<OpenElement>, Option<Document>) = (Vec::new(), None);
    let mut elements = 0;
    let mut is_first = true;
    loop {
        let was_first = std::mem::replace(&mut is_first, false);
        match reader.read_event()? {
            Event::Start(start) => {
                elements += 1;
                if document.is_some() {
                    return Err("multiple root elements".into());
                }
                if open_elements.len() >= MAX_DEPTH || elements > MAX_ELEMENTS {
                    return Err("nested too deeply or too many elements".into());
                }
                open_elements.push(OpenElement::new(&start));
            }
            Event::End(_) => {
                let Some(closed) = open_elements.pop() else { return Err("end tag without start tag".into()) };
                let name = closed.name.clone();
                match open_elements.last_mut() {
                    Some(parent) => parent.members.push((name, closed.into_node())),
                    None => document = Some(Document { root: name, node: closed.into_node() }),
                }
            }
            Event::Text(text) => {
                let text = text.xml10_content();
                if text.contains("]]>") {
                    return Err("']]>' outside of a CDATA section".into());
                }
                append_text(&mut open_elements, &text)?;
            }
            Event::CData(text) => append_text(&mut open_elements, &text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let c = match reference.resolve_char_ref()? {
                    Some(c) => c,
                    None => match reference.as_ref() {
                        "amp" => '&',
                        "lt" => '<',
                        "gt" => '>',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => return Err("unknown entity (only the five predefined ones are allowed)".into()),
                    },
                };
                append_text(&mut open_elements, c.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(_) => return Err("document type declaration is not allowed".into()),
            Event::Decl(_) if !was_first => return Err("XML declaration is not at the start".into()),
            Event::Decl(declaration) => {
                if let Some(encoding) = declaration.encoding() {
                    let encoding = encoding?;
                    if !encoding.eq_ignore_ascii_case("utf-8") && !encoding.eq_ignore_ascii_case("us-ascii") {
                        return Err("unsupported encoding (use UTF-8)".into());
                    }
                }
            }
            Event::Comment(_) | Event::PI(_) | Event::Empty(_) => {}
            Event::Eof => break,
        }
    }
    if !open_elements.is_empty() {
        return Err("unexpected end inside of an element".into());
    }
    document.ok_or_else(|| "no root element".into())
}

fn append_text(open: &mut [OpenElement], text: &str) -> Result<(), SyntaxError> {
    // XML 1.0 section 2.2; also applies to character references.
    let is_foreign = |c| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{FFFE}' | '\u{FFFF}');
    if text.contains(is_foreign) {
        return Err("character is not allowed in XML".into());
    }
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("text outside of the root element".into()),
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WriteOptions {
    /// The XML declaration, or empty.
    pub(crate) declaration: &'static str,
    /// Attributes of the root, each with a leading space.
    pub(crate) root_attributes: &'static str,
}

/// Writes a document; members of objects keep their order.
pub(crate) fn write(frame: WriteOptions, root: &str, out: &OutputValue) -> String {
    let mut text = String::with_capacity(256);
    text.push_str(frame.declaration);
    write_element(&mut text, root, frame.root_attributes, out);
    text
}

fn write_element(text: &mut String, name: &str, attributes: &str, out: &OutputValue) {
    if let OutputValue::Repeated(entries) = out {
        for entry in entries {
            write_element(text, name, attributes, entry);
        }
        return;
    }
    if let OutputValue::Link(url) = out {
        text.push_str("<atom:link rel=\"self\" href=\"");
        escape(text, &url.replace('"', "%22"));
        text.push_str("\"/>");
        return;
    }
    text.push('<');
    text.push_str(name);
    text.push_str(attributes);
    if let OutputValue::Null = out {
        text.push_str(" i:nil=\"true\" />");
        return;
    }
    let opened = text.len();
    text.push('>');
    let content = text.len();
    match out {
        OutputValue::Null | OutputValue::Repeated(_) | OutputValue::Link(_) => {}
        OutputValue::Text(value) => escape(text, value),
        OutputValue::Integer(value) => text.push_str(&value.to_string()),
        OutputValue::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        OutputValue::List(item, entries) => {
            for entry in entries {
                write_element(text, item, "", entry);
            }
        }
        OutputValue::Object(members) => {
            for (name, value) in members {
                write_element(text, name, "", value);
            }
        }
    }
    if text.len() == content {
        text.truncate(opened);
        text.push_str("/>");
    } else {
        text.push_str("</");
        text.push_str(name);
        text.push('>');
    }
}

fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            // Parsers turn a literal one into a line feed (XML 1.0 section 2.11).
            '\r' => text.push_str("&#13;"),
            // The directory rejects these characters; if one is stored anyway, the document must stay parsable.
            c if c < ' ' && c != '\t' && c != '\n' => text.push('\u{FFFD}'),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(node: &Node, name: &str) -> String {
        match node.as_object().and_then(|o| o.get(name, crate::kit::Duplicates::FirstWins)) {
            Some(Node::Text(text)) => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_any_prefix_any_order_entities_and_cdata() {
        let body = "<?xml version=\"1.0\" encoding=\"utf-8\"?><!-- c --><x:User xmlns:x=\"urn:x\">
            <x:b>a &amp; &#x41;<![CDATA[<b>]]></x:b><G><Id>1</Id><Id>2</Id></G><n i:nil=\"true\"/><e/></x:User>";
        let document = parse(body).unwrap();
        assert_eq!(document.root, "User");
        assert_eq!(text(&document.node, "b"), "a & A<b>");
        assert_eq!(text(&document.node, "e"), "");
        let groups = document.node.as_object().unwrap().get("G", crate::kit::Duplicates::FirstWins).unwrap();
        assert_eq!(groups.entries("Id").len(), 2);
        assert_eq!(document.node.as_object().unwrap().members[2].1, Node::Null);
    }

    #[test]
    fn rejects_hostile_documents() {
        let bombs = [
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>".to_owned(),
            "<a>&x;</a>".into(),
            "<a/><b/>".into(),
            "<a/>junk".into(),
            "junk<a/>".into(),
            "<a><b></a>".into(),
            "<a>".into(),
            String::new(),
            "<?xml version=\"1.0\" encoding=\"utf-16\"?><a/>".into(),
            "<a/><?xml version=\"1.0\"?>".into(),
            "<a>]]></a>".into(),
            "<a>\u{1}</a>".into(),
            "<a>&#1;</a>".into(),
            "<a>".repeat(200_000),
            format!("<a>{}</a>", "<b/>".repeat(150_000)),
        ];
        for bomb in bombs {
            assert!(parse(&bomb).is_err(), "{}", &bomb[..bomb.len().min(60)]);
        }
        let many = format!("<a {}/>", "b=\"\" ".repeat(50_000));
        assert!(parse(&many).is_ok());
    }
}
