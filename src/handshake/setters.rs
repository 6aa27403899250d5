//! Setters of settings with public fields.
//!
//! Settings are `#[non_exhaustive]`, so that fields can be added. Another crate therefore cannot write such a value as a
//! literal, and sets each field with a method of the same name. The macro [`setters`] writes these methods.
//!
//! Not here: a setter that does more than to store its argument.

/// Writes a setter for each field. The docs begin with `$returns`.
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
