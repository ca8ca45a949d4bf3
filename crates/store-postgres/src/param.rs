//! Statement parameters that carry their type, so that statements need no casts.

use directory::{ItemKind, TenantNumber};
use std::time::SystemTime;
use store::unique_keys::kind_index;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

pub(super) trait Param: ToSql + Sync + Send {
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
        impl Param for Option<Vec<$rust>> {
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
    SystemTime: TIMESTAMPTZ, TIMESTAMPTZ_ARRAY;
}

/// PostgreSQL has no unsigned integers. Our numbers stay far below `i32::MAX`.
pub(super) fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(super) fn unsigned(number: i32) -> u32 {
    number.unsigned_abs()
}

/// The stored code of an item kind, from 1.
pub(super) fn kind_code(kind: ItemKind) -> i16 {
    i16::from(1 + kind_index(kind))
}

pub(super) fn tenant_code(tenant: TenantNumber) -> i32 {
    int(tenant.0)
}
