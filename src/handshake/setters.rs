//! Setters of settings with public fields.
//!
//! Settings are `#[non_exhaustive]`, so that fields can be added later. Another crate therefore cannot write settings
//! as a struct literal. The other crate sets each field with a method of the same name. The macro [`setters`] writes
//! these methods.
//!
//! The macro is only for setters that store their argument and do nothing else.

/// Writes a setter for each `$field`. The doc comment of each setter begins with `$returns`.
macro_rules! setters {
    ($returns:literal, $($field:ident: $type:ty),+) => {$(
        #[doc = concat!($returns, " with another [`", stringify!($field), "`](Self::", stringify!($field), ").")]
        #[must_use]
        pub const fn $field(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        }
    )+};
}
pub(crate) use setters;
