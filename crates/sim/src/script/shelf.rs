//! Every scenario, within the program. A test keeps the list complete.

/// A story on the shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The file's name without its ending.
    pub name: &'static str,
    /// The whole text.
    pub text: &'static str,
}

macro_rules! shelf {
    ($($name:literal),* $(,)?) => {
        &[$(Scenario {
            name: $name,
            text: include_str!(concat!("../../scenarios/", $name, ".txt")),
        }),*]
    };
}

/// Every story, by name.
pub fn scenarios() -> &'static [Scenario] {
    shelf![
        "accept-promises",
        "adopted-not-chosen",
        "amnesia",
        "announce-to-leader",
        "away-from-leaders",
        "ballot-order",
        "ballot-reuse",
        "before-the-disk",
        "chained-links",
        "chosen-twice",
        "constrained-election",
        "cut-votes",
        "deaf-and-dumb",
        "deposed-leader",
        "deposed-reads",
        "dueling-leaders",
        "duplicated-votes",
        "expired-session",
        "failed-sync",
        "flexible-quorums",
        "flexible-reads",
        "ghost-entry",
        "handing-over",
        "handing-over-cut-off",
        "handing-over-dies",
        "handing-over-lost",
        "handing-over-twice",
        "highest-vote-wins",
        "late-accept",
        "late-retry",
        "late-votes",
        "learner-without-leader",
        "lost-messages",
        "lost-reply",
        "lost-votes",
        "no-op",
        "old-epoch",
        "one-node",
        "one-value",
        "open-slots",
        "opened-twice",
        "overtaken-leader",
        "parted-snapshots",
        "preemption",
        "promise-pages",
        "quorum-loss",
        "reads",
        "reordered",
        "replaced-disk",
        "reported-ballot",
        "returning-node",
        "rotten-journal",
        "seeing-is-not-promising",
        "slow-keepers",
        "slow-learner",
        "slow-minority",
        "snapshot-epochs",
        "snapshot-prefix",
        "snapshot-sessions",
        "stale-heartbeat",
        "stale-promise",
        "watermark",
        "window-full",
        "zombie-acceptor",
        "zombie-quorum",
    ]
}

impl Scenario {
    /// The first sentence of its header.
    pub fn about(&self) -> String {
        let header = self.text.lines().map_while(|line| line.strip_prefix("# "));
        let header: Vec<&str> = header.collect();
        let header = header.join(" ");
        let end = header.find(". ").map_or(header.len(), |end| end + 1);
        header[..end].to_owned()
    }
}
