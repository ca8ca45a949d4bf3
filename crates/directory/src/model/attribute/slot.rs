//! Where attributes of users are stored, and how they are read and written there.

use crate::model::multi_valued::{Address, TypedValue, preferred_index, set_value_at};
use crate::{ItemKind, ProfileLinkKind, Time, User};

/// Where an attribute is stored, and with that its type.
#[derive(Clone, Copy, Debug)]
pub enum Slot {
    Text(TextSlot),
    Boolean(BooleanSlot),
    Timestamp(fn(&User) -> Option<Time>),
    MultiValued(MultiValuedSlot),
    PostalAddresses,
    Links(ProfileLinkKind),
    Metadata,
    /// Groups or folders.
    Items(ItemKind),
    Id,
    Number,
    Department,
    Organization,
    Office,
    /// The effective role.
    Role,
    /// The effective role and those that client systems list.
    Roles,
    Status,
    /// Whether the status permits signing in.
    Active,
    Password,
}

#[derive(Clone, Copy, Debug)]
pub struct TextSlot {
    pub(crate) read: fn(&User) -> Option<&str>,
    pub(crate) write: fn(&mut User, Option<String>),
}

#[derive(Clone, Copy, Debug)]
pub struct BooleanSlot {
    pub(crate) read: fn(&User) -> Option<bool>,
    pub(crate) write: fn(&mut User, Option<bool>),
}

#[derive(Clone, Copy, Debug)]
pub struct MultiValuedSlot {
    pub read: fn(&User) -> &[TypedValue],
    pub(crate) write: fn(&mut User, Vec<TypedValue>),
    /// The type of a value without one in files; empty for none.
    pub default_type: &'static str,
    /// Whether the first value of a file is the primary one.
    pub has_primary: bool,
}

/// A text that is stored as such.
macro_rules! text {
    ($($path:ident).+) => {
        $crate::Slot::Text($crate::TextSlot {
            read: |user| user.$($path).+.as_deref(),
            write: |user, value| user.$($path).+ = value,
        })
    };
}

macro_rules! boolean {
    ($name:ident) => {
        $crate::Slot::Boolean($crate::BooleanSlot { read: |user| user.$name, write: |user, value| user.$name = value })
    };
}

macro_rules! multi_valued {
    ($name:ident, $default_type:literal, $has_primary:literal) => {
        $crate::Slot::MultiValued($crate::MultiValuedSlot {
            read: |user| &user.$name,
            write: |user, values| user.$name = values,
            default_type: $default_type,
            has_primary: $has_primary,
        })
    };
}

/// The phone of a type.
macro_rules! phone {
    ($kind:literal) => {
        $crate::Slot::Text($crate::TextSlot {
            read: |user| user.phone($kind),
            write: |user, value| {
                let index = user.phones.iter().position(|entry| entry.has_kind($kind));
                $crate::model::multi_valued::set_value_at(&mut user.phones, index, value, |value| {
                    $crate::TypedValue::new($kind, value)
                });
            },
        })
    };
}

/// A line of the work address.
macro_rules! address_line {
    ($line:ident) => {
        $crate::Slot::Text($crate::TextSlot {
            read: |user| user.work_address()?.$line.as_deref(),
            write: |user, value| {
                $crate::model::attribute::slot::set_work_address_line(user, |address| &mut address.$line, value);
            },
        })
    };
}

pub(super) fn set_work_address_line(
    user: &mut User,
    line: fn(&mut Address) -> &mut Option<String>,
    value: Option<String>,
) {
    match user.addresses.iter().position(Address::is_work) {
        Some(index) => {
            *line(&mut user.addresses[index]) = value;
            if user.addresses[index].is_empty() {
                user.addresses.remove(index);
            }
        }
        None if value.is_some() => {
            let mut address = Address::work();
            *line(&mut address) = value;
            user.addresses.push(address);
        }
        None => {}
    }
}

/// Clearing it stores an empty text, which decisions reject.
pub(super) const USER_NAME: Slot = Slot::Text(TextSlot {
    read: |user| Some(user.user_name.as_str()),
    write: |user, value| user.user_name = value.unwrap_or_default(),
});

pub(super) const PRIMARY_EMAIL: Slot = Slot::Text(TextSlot {
    read: User::email,
    write: |user, value| {
        let index = preferred_index(&user.emails, "work");
        set_value_at(&mut user.emails, index, value, |value| TypedValue::new("work", value).with_primary());
    },
});

pub(super) const PRIMARY_PHOTO: Slot = Slot::Text(TextSlot {
    read: User::preferred_photo,
    write: |user, value| {
        let index = preferred_index(&user.photos, "photo");
        set_value_at(&mut user.photos, index, value, |value| TypedValue::new("photo", value).with_primary());
    },
});

pub(super) use {address_line, boolean, multi_valued, phone, text};
