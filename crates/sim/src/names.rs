//! What a file about worlds calls the settings of the core that a walk chooses among.

/// Whom acceptors tell of their votes.
pub mod announce {
    use paxos::Announce;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const NAMES: [(&str, Announce); 2] =
        [("every_learner", Announce::EveryLearner), ("leader_only", Announce::LeaderOnly)];

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
    pub fn serialize<S: Serializer>(announce: &Announce, to: S) -> Result<S::Ok, S::Error> {
        let (name, _) = NAMES.iter().find(|(_, it)| it == announce).expect("each has a name");
        to.serialize_str(name)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Announce, D::Error> {
        let name = String::deserialize(from)?;
        let known = NAMES.iter().find(|(it, _)| *it == name);
        known.map(|(_, it)| *it).ok_or_else(|| {
            D::Error::custom(format!("announce is `every_learner` or `leader_only`, not `{name}`"))
        })
    }
}

/// Every node's bounds.
pub mod limits {
    use paxos::Limits;
    use serde::{Deserialize, Deserializer, Serializer, de::Error, ser};

    use crate::walk::Options;

    pub fn serialize<S: Serializer>(limits: &Limits, to: S) -> Result<S::Ok, S::Error> {
        if *limits == Limits::default() {
            to.serialize_str("wide")
        } else if *limits == Options::tight() {
            to.serialize_str("tight")
        } else {
            Err(ser::Error::custom("these bounds have no name"))
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Limits, D::Error> {
        match String::deserialize(from)?.as_str() {
            "wide" => Ok(Limits::default()),
            "tight" => Ok(Options::tight()),
            other => Err(D::Error::custom(format!("limits is `wide` or `tight`, not `{other}`"))),
        }
    }
}
