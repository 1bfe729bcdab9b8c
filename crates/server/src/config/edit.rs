//! Changes a file in two places and leaves the rest as its operator wrote it, comments included.
//!
//! Done by the places that the reader reports, not by an editor of TOML: two values are all that
//! is ever changed, and what comes out is read again and compared.

use paxos::NodeId;

use super::file::{self, places};
use super::layers::Reading;
use super::{Config, format_identity, names};

/// The line that names an epoch.
pub(super) fn epoch_line(epoch: u64) -> String {
    format!("epoch = {epoch}  # grows when a disk is replaced\n")
}

impl Config {
    /// `text`, a file that was accepted, with another epoch and another disk for an acceptor. None
    /// if that cannot be done without touching anything else.
    pub fn edit(text: &str, epoch: u64, node: NodeId, disk: [u8; 16]) -> Option<String> {
        // What names stand for does not matter here, and must not change meanwhile.
        let parse =
            |text: &str| file::parse(text, &Reading { over: &[], resolve: names::stand_in });
        let mut expected = parse(text).ok()?;
        expected.epoch = epoch;
        expected.nodes.iter_mut().find(|it| it.id == node)?.disk = Some(disk);
        let places = places(text, node)?;
        let mut edited = text.to_owned();
        let mut edits = vec![(places.disk, format!("\"{}\"", format_identity(&disk)))];
        if let Some(place) = places.epoch {
            edits.push((place, epoch.to_string()));
        } else {
            // Behind the line of another key of the file itself, whatever table follows.
            let rest = &text[places.cluster.end..];
            let line_end = rest.find('\n').map(|at| places.cluster.end + at + 1);
            let at = line_end.unwrap_or(text.len());
            let before = if line_end.is_some() { "" } else { "\n" };
            edits.push((at..at, before.to_owned() + &epoch_line(epoch)));
        }
        // From the back, so that the places before stay where they are.
        edits.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
        for (place, new) in edits {
            edited.replace_range(place, &new);
        }
        let is_as_meant = parse(&edited).is_ok_and(|config| config == expected);
        is_as_meant.then_some(edited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# ours\r\n cluster = '000102030405060708090a0b0c0d0e0f' # drawn\r\n\
        id=1\r\nnetwork = {transport = 'plaintext-tcp'} # trusted\r\n[quorums]\r\nphase1 = \
        2\r\nphase2 = 1 # few\r\n\
        [[node]]\r\nid = 2 # far\r\ndisk='202122232425262728292a2b2c2d2e2f' # ssd\r\n\
        roles = ['acceptor']\r\npeers = '127.0.0.1:2'\r\nclients = '127.0.0.1:2'\r\n\
        [[node]]\r\nid = 3\r\ndisk = '303132333435363738393a3b3c3d3e3f'\r\n\
        roles = ['acceptor']\r\npeers = '127.0.0.1:3'\r\nclients = '127.0.0.1:3'\r\n\
        [[node]]\r\nid = 1\r\nroles = ['leader']\r\npeers = '127.0.0.1:1'\r\n\
        clients = '127.0.0.1:1'";

    #[test]
    fn only_the_epoch_and_the_disk_change() {
        let once = Config::edit(TEXT, 1, NodeId(2), [0xab; 16]).unwrap();
        let disk = format!("\"{}\"", "ab".repeat(16));
        let expected = TEXT
            .replace("# drawn\r\n", "# drawn\r\nepoch = 1  # grows when a disk is replaced\n")
            .replace("'202122232425262728292a2b2c2d2e2f'", &disk);
        assert_eq!(once, expected);
        let twice = Config::edit(&once, 12, NodeId(2), [0xcd; 16]).unwrap();
        assert_eq!(twice, expected.replace("epoch = 1 ", "epoch = 12 ").replace("ab", "cd"));
    }

    #[test]
    fn a_list_in_one_line_is_a_list() {
        let text = "node = [{id = 1, roles = ['leader', 'acceptor'], peers = '127.0.0.1:1', \
            clients = '127.0.0.1:1', disk = '202122232425262728292a2b2c2d2e2f'}]\n\
            data_dir = 'd'\nid = 1\nnetwork.transport = 'plaintext-udp'\ncluster = \
            \"\"\"\n000102030405060708090a0b0c0d0e0f\"\"\"";
        let edited = Config::edit(text, 3, NodeId(1), [1; 16]).unwrap();
        assert!(edited.ends_with("0f\"\"\"\nepoch = 3  # grows when a disk is replaced\n"));
    }

    #[test]
    fn names_stay_names() {
        let text = TEXT.replace("127.0.0.1:2", "n2.example:7102");
        let text = text.replacen("'n2.example:7102'", "'n2.example:7202'", 1);
        let edited = Config::edit(&text, 1, NodeId(2), [0xab; 16]).unwrap();
        assert!(edited.contains("clients = 'n2.example:7102'"), "{edited}");
    }

    #[test]
    fn what_is_not_there_is_not_changed() {
        assert_eq!(Config::edit(TEXT, 1, NodeId(1), [1; 16]), None, "no disk");
        assert_eq!(Config::edit(TEXT, 1, NodeId(9), [1; 16]), None, "nobody");
        let other = *b"0123456789:;<=>?";
        assert_eq!(Config::edit(TEXT, 1, NodeId(2), other), None, "node 3 has that disk");
        assert_eq!(Config::edit("id = 1", 1, NodeId(1), [1; 16]), None, "no configuration");
    }
}
