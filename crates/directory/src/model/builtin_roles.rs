//! The built-in roles, the same for every tenant.

/// Numbers and names of the built-in roles, lowest first. Some dialects send the numbers, some the names.
pub const BUILTIN_ROLES: [(u32, &str); 6] =
    [(1, "ReadOnly"), (2, "User"), (3, "Admin"), (4, "EnterpriseAdmin"), (5, "VendorAdmin"), (6, "SuperAdmin")];

/// Ignores case.
pub fn builtin_role_number(name: &str) -> Option<u32> {
    BUILTIN_ROLES.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(number, _)| *number)
}

pub fn builtin_role_name(number: u32) -> Option<&'static str> {
    BUILTIN_ROLES.iter().find(|(n, _)| *n == number).map(|(_, name)| *name)
}
