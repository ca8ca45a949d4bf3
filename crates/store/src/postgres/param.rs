//! Values that go to the database with their types, so that no statement has to say them.

use crate::unique_keys::kind_index;
use directory::{ItemKind, TenantNumber};
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

/// A value for a statement.
pub(super) trait Param: ToSql + Sync + Send {
    /// Its type there.
    fn sql_type(&self) -> Type;
}

macro_rules! impl_param {
    ($($rust:ty: $one:ident, $many:ident;)*) => {$(
        impl Param for $rust {
            fn sql_type(&self) -> Type {
                Type::$one
            }
        }
        impl Param for Option<$rust> {
            fn sql_type(&self) -> Type {
                Type::$one
            }
        }
        impl Param for Vec<$rust> {
            fn sql_type(&self) -> Type {
                Type::$many
            }
        }
        impl Param for Vec<Option<$rust>> {
            fn sql_type(&self) -> Type {
                Type::$many
            }
        }
    )*};
}
impl_param! {
    i16: INT2, INT2_ARRAY;
    i32: INT4, INT4_ARRAY;
    i64: INT8, INT8_ARRAY;
    bool: BOOL, BOOL_ARRAY;
    String: TEXT, TEXT_ARRAY;
    &str: TEXT, TEXT_ARRAY;
    Uuid: UUID, UUID_ARRAY;
    Vec<u8>: BYTEA, BYTEA_ARRAY;
    &[u8]: BYTEA, BYTEA_ARRAY;
}

/// Numbers are stored as signed ones; ours never come near the end.
pub(super) fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The same for what was stored.
pub(super) fn unsigned(number: i32) -> u32 {
    number.unsigned_abs()
}

/// How a kind of item is stored.
pub(super) fn kind_code(kind: ItemKind) -> i16 {
    i16::from(1 + kind_index(kind))
}

/// Whose directory, as stored.
pub(super) fn tenant_code(tenant: TenantNumber) -> i32 {
    int(tenant.0)
}
