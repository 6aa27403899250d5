//! Code that the server and the generator share, and the data that attackers send.

pub mod attack;
pub mod limits;
