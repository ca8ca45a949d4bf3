//! Lists in forms: repeated fields, or fields numbered as `Groups[0]` or `Groups[0].Id`.

use crate::kit::{Node, Object, ObjectSchema, Property, ValueType};
use std::collections::{BTreeMap, HashSet};

pub(super) fn collect_lists(object: &mut Object, object_schema: &ObjectSchema) {
    for property in object_schema.properties {
        let ValueType::List(_, kind) = property.value_type else { continue };
        let (mut repeated, mut numbered) = (Vec::new(), BTreeMap::<usize, Node>::new());
        object.members.retain(|(name, node)| match parse_list_field(name, property) {
            None => true,
            Some(ListField::List) => {
                repeated.push(node.clone());
                false
            }
            Some(ListField::Entry(number, part)) => {
                set_entry(numbered.entry(number).or_insert(Node::Null), part, kind, node);
                false
            }
        });
        let entries: Vec<Node> = match repeated.as_slice() {
            // A single field is not a list yet.
            [one] if numbered.is_empty() => {
                object.members.push((property.name.to_owned(), one.clone()));
                continue;
            }
            _ => repeated.into_iter().chain(numbered.into_values()).collect(),
        };
        if !entries.is_empty() {
            object.members.push((property.name.to_owned(), Node::List(entries)));
        }
    }
}

/// Number of repeated fields, of which only the first is used.
pub(super) fn count_repeated(object: &Object) -> usize {
    let mut seen = HashSet::new();
    object.members.iter().filter(|(name, _)| !seen.insert(name.to_ascii_lowercase())).count()
}

enum ListField<'a> {
    List,
    Entry(usize, Option<&'a str>),
}

/// Expects dots instead of brackets.
fn parse_list_field<'a>(name: &'a str, property: &Property) -> Option<ListField<'a>> {
    let (start, rest) = name.split_at_checked(property.name.len())?;
    if !start.eq_ignore_ascii_case(property.name) {
        return None;
    }
    if rest.is_empty() {
        return Some(ListField::List);
    }
    let rest = rest.strip_prefix('.')?;
    let (number, part) = rest.split_once('.').map_or((rest, None), |(number, part)| (number, Some(part)));
    number.parse().ok().map(|number| ListField::Entry(number, part))
}

/// The first of repeated entries is used.
fn set_entry(entry: &mut Node, part: Option<&str>, kind: &ValueType, node: &Node) {
    match (part, kind, &mut *entry) {
        (Some(part), ValueType::Object(_), Node::Object(object)) => {
            object.members.push((part.to_owned(), node.clone()));
        }
        (Some(part), ValueType::Object(_), Node::Null) => {
            *entry = Node::Object(Object { members: vec![(part.to_owned(), node.clone())] });
        }
        (_, _, Node::Null) => *entry = node.clone(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::form;
    use crate::onfire::wire;

    fn collected(body: &str) -> (Vec<(String, Node)>, usize) {
        let Ok(Node::Object(mut object)) = form::parse(body.as_bytes()) else { panic!("{body}") };
        collect_lists(&mut object, &wire::USER);
        let many = count_repeated(&object);
        (object.members, many)
    }

    #[test]
    fn reads_every_list_syntax() {
        let text = |text: &str| Node::Text(text.into());
        let list = |texts: &[&str]| Node::List(texts.iter().map(|one| text(one)).collect());
        for body in [
            "Groups=1&Groups=2",
            "Groups[0]=1&groups[1]=2",
            "Groups[0].Id=1&Groups[1].Id=2",
            "Groups[1]=2&Groups[0]=1",
            "Groups[]=1&Groups[]=2",
        ] {
            assert_eq!(collected(body), (vec![("Groups".into(), list(&["1", "2"]))], 0), "{body}");
        }
        assert_eq!(collected("Groups=1"), (vec![("Groups".into(), text("1"))], 0));
        assert_eq!(collected("Email=a&email=b&Email=c").1, 2, "the others are ignored");
        let (members, _) = collected("Metadata[0].Key=k&Metadata[0].Value=v&Metadata[1].Key=l");
        assert!(matches!(&members[..], [(name, Node::List(pairs))] if name == "Metadata" && pairs.len() == 2));
    }
}
