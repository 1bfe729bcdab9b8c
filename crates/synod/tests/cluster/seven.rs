//! Two leaders, five acceptors.

use crate::cluster::Layout;

pub const LEADERS: [&str; 2] = ["l1", "l2"];

pub const SEVEN: Layout = Layout {
    options: &["--leaders", "2", "--acceptors", "5"],
    leaders: &LEADERS,
    others: &["a1", "a2", "a3", "a4", "a5"],
};
