//! What the server and the generator have in common, and what attackers send.

pub mod attack;
pub mod limits;
