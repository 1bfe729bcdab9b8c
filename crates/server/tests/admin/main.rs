//! What running nodes tell operators: health, metrics, and how much more may fail; and that the
//! dashboard and the alerts ask for what there is.

#[path = "../cluster/mod.rs"]
mod cluster;
mod health;
mod metrics;
mod monitoring;
mod port;
mod quorums;
