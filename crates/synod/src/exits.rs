//! What each exit code means, once: for the man page, and for `docs/exit-codes.md`.

use crate::error::Exit;

impl Exit {
    /// Every code, in order.
    pub(crate) const ALL: [Exit; 11] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::No,
        Exit::Unreachable,
        Exit::TimedOut,
        Exit::Denied,
        Exit::Damaged,
        Exit::Violation,
        Exit::Interrupted,
        Exit::Terminated,
    ];

    /// What a script may conclude.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "Done; the answer is yes.",
            Exit::Failed => "Failed.",
            Exit::Usage => "Bad arguments or configuration.",
            Exit::No => "The answer is no: unhealthy, or not there any more.",
            Exit::Unreachable => "No quorum, or nothing reachable.",
            Exit::TimedOut => "No answer in time: whether it was done is unknown.",
            Exit::Denied => "Not authenticated or not allowed.",
            Exit::Damaged => "Data is damaged, missing, or another node's.",
            Exit::Violation => "Agreement is broken: two values for one slot, or histories differ.",
            Exit::Interrupted => "Stopped by SIGINT before finishing.",
            Exit::Terminated => "Stopped by SIGTERM before finishing.",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;

    /// Demands that a page of the repository says `expected`; `SYNOD_REWRITE=1` writes it.
    pub(crate) fn demand(page: &str, expected: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
        if std::env::var_os("SYNOD_REWRITE").is_some() {
            std::fs::write(&path, expected).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == expected,
            "{page} is not what the program says; SYNOD_REWRITE=1 writes it"
        );
    }

    #[test]
    fn the_list_is_complete_and_in_order() {
        assert!(Exit::ALL.is_sorted_by_key(|exit| *exit as u8));
        let parsed: Vec<u8> = Exit::ALL.into_iter().map(|exit| exit as u8).collect();
        assert_eq!(parsed, [0, 1, 2, 3, 4, 5, 6, 7, 10, 130, 143]);
    }

    #[test]
    fn the_page_of_exit_codes_is_made_of_the_list() {
        let mut page = "# Exit codes\n\nOf every command, never renumbered. With `-o json` and \
                        `-o jsonl` an error is one object on stderr,\nwhich has the same number: \
                        `{\"error\": {\"code\": ..., \"message\": ..., \"outcome\": ..., \"hint\": \
                        ...,\n\"exit\": ...}}`. Its `outcome` is `not_done` or `unknown`.\n\n\
                        | code | meaning |\n|---|---|\n"
            .to_owned();
        for exit in Exit::ALL {
            writeln!(page, "| {} | {} |", exit as u8, exit.meaning()).unwrap();
        }
        demand("docs/exit-codes.md", &page);
    }
}
