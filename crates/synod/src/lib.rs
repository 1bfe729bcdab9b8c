//! The public face for embedders.
