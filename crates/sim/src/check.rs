//! What the world watches for. Each file keeps one promise of the protocol, and sees everything
//! from outside: no checker asks a node for its opinion of another.

pub mod agreement;
pub mod durability;
pub mod linearizable;
pub mod once;
pub mod progress;
pub mod sessions;
pub mod told;
pub mod wire;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The file that noticed.
    pub promise: &'static str,
    /// What it saw.
    pub what: String,
}

/// Fine, or not.
pub type Checked = Result<(), Wrong>;

/// All checkers.
#[derive(Debug)]
pub struct Checks {
    pub agreement: agreement::Agreement,
    pub once: once::Once,
    pub linearizable: linearizable::Linearizable,
    pub sessions: sessions::Tables,
    pub wire: wire::Wire,
}

impl Checks {
    pub fn new(configuration: &paxos::Configuration) -> Checks {
        Checks {
            agreement: agreement::Agreement::new(configuration.clone()),
            once: once::Once::default(),
            linearizable: linearizable::Linearizable::default(),
            sessions: sessions::Tables::default(),
            wire: wire::Wire::default(),
        }
    }
}
