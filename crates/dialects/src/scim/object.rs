//! Access to members of an object by exact name.

use crate::kit::{Node, Object};

pub(super) fn get<'a>(parent: &'a Object, name: &str) -> Option<&'a Node> {
    parent.members.iter().find(|(n, _)| n == name).map(|(_, node)| node)
}

pub(super) fn remove(parent: &mut Object, name: &str) -> Option<Node> {
    let index = parent.members.iter().position(|(n, _)| n == name)?;
    Some(parent.members.remove(index).1)
}

pub(super) fn set(parent: &mut Object, name: &str, value: Option<Node>) {
    match (parent.members.iter_mut().find(|(n, _)| n == name), value) {
        (Some((_, slot)), Some(value)) => *slot = value,
        (None, Some(value)) => parent.members.push((name.to_owned(), value)),
        (_, None) => drop(remove(parent, name)),
    }
}

/// Changes the object under a name. Creates it if it is missing, and removes it if it ends up empty.
pub(super) fn update<T>(parent: &mut Object, name: &str, change: impl FnOnce(&mut Object) -> T) -> T {
    let mut object = match remove(parent, name) {
        Some(Node::Object(object)) => object,
        _ => Object::default(),
    };
    let done = change(&mut object);
    set(parent, name, (!object.members.is_empty()).then_some(Node::Object(object)));
    done
}
