//! What a node tells Prometheus: figures that are cheap to keep, and one list of all of them.
//!
//! Everything here is an atomic or is touched a few times a second. Nothing has a slot, a key or a
//! ballot as a label: the number of series depends on the number of members, and on nothing that
//! clients do.
//!
//! | file | decides |
//! |---|---|
//! | `list` | every metric: name, kind, labels, meaning; `docs/metrics.md` is made of it |
//! | `histogram` | how durations are counted |
//! | `figures` | what the node's threads count beside `counters` |
//! | `page` | the text that Prometheus reads |
//! | `process` | what the system says of this process and its disk |
//! | `expose` | which figure stands under which name |

mod list;
mod histogram;
mod figures;
mod page;
mod process;
mod expose;

pub use list::{FAMILIES, Family, Kind, Label, table};

pub(crate) use expose::{CONTENT_TYPE, Exposed, expose};
pub(crate) use figures::{Figures, Method, Outcome};
pub(crate) use process::Disk;
