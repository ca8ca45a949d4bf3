//! Members of an object by their exact names.

use crate::kit::{Node, Object};

/// A member by its exact name.
pub(super) fn get<'a>(tree: &'a Object, name: &str) -> Option<&'a Node> {
    tree.members.iter().find(|(n, _)| n == name).map(|(_, node)| node)
}

/// Takes a member out.
pub(super) fn take(tree: &mut Object, name: &str) -> Option<Node> {
    let place = tree.members.iter().position(|(n, _)| n == name)?;
    Some(tree.members.remove(place).1)
}

/// Puts a member in, or takes it out.
pub(super) fn put(tree: &mut Object, name: &str, value: Option<Node>) {
    match (tree.members.iter_mut().find(|(n, _)| n == name), value) {
        (Some((_, slot)), Some(value)) => *slot = value,
        (None, Some(value)) => tree.members.push((name.to_owned(), value)),
        (_, None) => drop(take(tree, name)),
    }
}

/// Changes the object under a name, which is made when it is not there and goes when nothing is left in it.
pub(super) fn within<T>(tree: &mut Object, name: &str, change: impl FnOnce(&mut Object) -> T) -> T {
    let mut object = match take(tree, name) {
        Some(Node::Object(object)) => object,
        _ => Object::default(),
    };
    let done = change(&mut object);
    put(tree, name, (!object.members.is_empty()).then_some(Node::Object(object)));
    done
}
