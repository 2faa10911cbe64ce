//! `Debug` for types that hold what must not be shown: ids, cookies, tokens, bodies, URLs with their query.

/// Implements `Debug` with the type's name and the named fields only.
macro_rules! opaque_debug {
    ($($type:ident $(<$($parameter:tt),+>)? { $($field:ident),* })+) => {$(
        impl $(<$($parameter),+>)? std::fmt::Debug for $type $(<$($parameter),+>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))$(.field(stringify!($field), &self.$field))*.finish_non_exhaustive()
            }
        }
    )+};
}

pub(crate) use opaque_debug;
