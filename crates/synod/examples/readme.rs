//! The README's program as it stands there, but for its addresses and its directory, which come
//! from the environment: a test runs it.

include!(concat!(env!("OUT_DIR"), "/readme.rs"));
