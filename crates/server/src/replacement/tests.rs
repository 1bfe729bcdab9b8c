//! Files and directories as operators have them, and what becomes of them.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use paxos::{ClusterId, Slot};

use super::*;
use crate::config::{Log, Node, Quorums, Storage, Timing, Transport, parse_identity};
use crate::{Options, rehearse};

const NODE: NodeId = NodeId(2);

/// A cluster's directories: nodes 1 to 3 are acceptors that lead, and 4 only leads.
struct Cluster {
    root: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Cluster {
        let cluster = Cluster { root: tempfile::tempdir().unwrap() };
        let node = |id: u8| {
            let acceptor = (id < 4).then_some(Role::Acceptor);
            Node {
                id: NodeId(id.into()),
                roles: acceptor.into_iter().chain([Role::Leader]).collect::<BTreeSet<_>>(),
                disk: (id < 4).then_some([id; 16]),
                peers: format!("127.0.0.1:710{id}").parse().unwrap(),
                clients: format!("127.0.0.1:720{id}").parse().unwrap(),
            }
        };
        let nodes: Vec<Node> = (1..=4).map(node).collect();
        for node in &nodes {
            let file = cluster.file(node.id.0);
            fs::create_dir(file.parent().unwrap()).unwrap();
            let config = Config {
                cluster: [7; 16],
                epoch: 0,
                id: node.id,
                data_dir: node.disk.map(|_| "data".into()),
                listen: None,
                shutdown_timeout: crate::config::SHUTDOWN_TIMEOUT,
                log: Log::default(),
                quorums: Quorums::majorities(3),
                timing: Timing::default(),
                transport: Transport::PlaintextUdp,
                storage: Storage::default(),
                admin: None,
                clients: Vec::new(),
                nodes: nodes.clone(),
            };
            fs::write(&file, config.to_toml()).unwrap();
            if let Some(disk) = node.disk {
                let data = file.with_file_name("data");
                data_dir::format(&data, ClusterId([7; 16]), node.id, DiskId(disk)).unwrap();
            }
        }
        cluster
    }

    fn file(&self, node: u32) -> PathBuf {
        self.root.path().join(node.to_string()).join("synod.toml")
    }

    fn files(&self) -> Vec<PathBuf> {
        (1..=4).map(|node| self.file(node)).collect()
    }

    fn config(&self, node: u32) -> Config {
        Config::load(&self.file(node)).unwrap()
    }

    fn lose(&self) {
        fs::remove_dir_all(self.file(NODE.0).with_file_name("data")).unwrap();
    }

    fn texts(&self) -> Vec<String> {
        self.files().iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    fn edit(&self, node: u32, from: &str, to: &str) {
        let text = fs::read_to_string(self.file(node)).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(self.file(node), text.replacen(from, to, 1)).unwrap();
    }

    /// Why it is refused, hint included. Nothing may have changed then.
    fn refused(&self, nodes: &[u32], node: u32, drawn: Option<(u64, [u8; 16])>) -> String {
        let before = self.texts();
        let paths: Vec<PathBuf> = nodes.iter().map(|node| self.file(*node)).collect();
        let error = replace(&paths, NodeId(node), drawn, None).unwrap_err();
        assert_eq!(self.texts(), before, "{error}");
        let text = error.hint().map_or(error.to_string(), |hint| format!("{error} ({hint})"));
        text.replace(&format!("{}/", self.root.path().display()), "")
    }
}

/// Whether each file was changed.
fn news(replaced: &Replaced) -> Vec<bool> {
    replaced.files.iter().map(|it| it.is_news).collect()
}

#[test]
fn every_file_gets_the_new_disk_and_the_directory_its_journal() {
    let cluster = Cluster::new();
    cluster.lose();
    let replaced = replace(&cluster.files(), NODE, None, None).unwrap();
    let Change { node, epoch, disk } = replaced.change;
    assert_eq!((node, epoch), (NODE, 1));
    assert_ne!(disk, [2; 16]);
    assert_eq!(news(&replaced), [true; 4]);
    assert_eq!(replaced.missing, []);
    assert_eq!(replaced.journal, cluster.config(2).data_dir);
    for node in 1..=4 {
        let config = cluster.config(node);
        assert_eq!((config.epoch, config.disk(NODE)), (1, Some(disk)), "node {node}");
        assert_eq!(config.disk(NodeId(3)), Some([3; 16]));
        let found = rehearse(&config, &Options::default()).unwrap();
        assert_eq!(found.is_suspect, node == 2, "node {node}");
        assert_eq!(found.snapshot, Slot::FIRST);
    }
    // The old disk, should it turn up, is another one.
    let old = cluster.root.path().join("old");
    data_dir::format(&old, ClusterId([7; 16]), NODE, DiskId([2; 16])).unwrap();
    let back = Config { data_dir: Some(old), ..cluster.config(2) };
    assert!(rehearse(&back, &Options::default()).is_err());
}

#[test]
fn a_file_elsewhere_is_told_what_was_drawn() {
    let cluster = Cluster::new();
    cluster.lose();
    let first = replace(&[cluster.file(2)], NODE, None, Some(0)).unwrap();
    assert_eq!(first.missing, [1, 3, 4].map(NodeId));
    let Change { epoch, disk, .. } = first.change;
    let elsewhere = [cluster.file(1), cluster.file(4)];
    for is_news in [true, false] {
        let second = replace(&elsewhere, NODE, Some((epoch, disk)), None).unwrap();
        assert_eq!(second.change, first.change);
        assert_eq!(news(&second), [is_news; 2], "a second time changes nothing");
        assert_eq!((second.journal, second.missing), (None, vec![NodeId(2), NodeId(3)]));
    }
    // The node's own file may be among them: its journal is there.
    let all = replace(&cluster.files(), NODE, Some((epoch, disk)), None).unwrap();
    assert_eq!((news(&all), all.journal), (vec![false, false, true, false], None));
}

#[test]
fn what_was_cut_short_is_gone_on_with() {
    let cluster = Cluster::new();
    cluster.lose();
    let first = replace(&[cluster.file(2), cluster.file(4)], NODE, None, None).unwrap();
    let second = replace(&cluster.files(), NODE, None, None).unwrap();
    assert_eq!(second.change, first.change);
    assert_eq!((news(&second), second.journal), (vec![true, false, true, false], None));
    let third = replace(&cluster.files(), NODE, None, None).unwrap();
    assert_eq!((third.change, news(&third)), (first.change, vec![false; 4]));
}

#[test]
fn a_disk_that_is_lost_again_is_another_one_in_a_higher_epoch() {
    let cluster = Cluster::new();
    cluster.lose();
    let first = replace(&cluster.files(), NODE, None, None).unwrap();
    cluster.lose();
    let text = cluster.refused(&[1, 2], 2, Some((1, first.change.disk)));
    assert!(text.starts_with("there is no journal of disk "), "{text}");
    assert!(text.ends_with("run this for node 2's own file without --epoch and --disk)"), "{text}");
    let second = replace(&cluster.files(), NODE, None, None).unwrap();
    assert_eq!(second.change.epoch, 2);
    assert_ne!(second.change.disk, first.change.disk);
    // What was drawn first is past.
    let text = cluster.refused(&[1], 2, Some((1, first.change.disk)));
    assert!(text.starts_with("1/synod.toml has epoch 2 and disk "), "{text}");
    let text = cluster.refused(&[1], 2, Some((2, [9; 16])));
    assert!(text.contains("an epoch has one disk a node"), "{text}");
    let text = cluster.refused(&[1], 2, Some((3, second.change.disk)));
    assert!(text.contains("a new disk a new id"), "{text}");
}

#[test]
fn a_journal_is_never_overwritten() {
    let cluster = Cluster::new();
    let text = cluster.refused(&[1, 2, 3, 4], 2, None);
    assert_eq!(
        text,
        "2/data still holds a journal or snapshots; they are never overwritten (if the node should \
         go on with what is there, start it; if not, stop it and rename the directory: mv 2/data \
         2/data.lost)"
    );
    // Snapshots alone are in the way, too: they are another disk's.
    cluster.lose();
    let snapshots = cluster.file(2).with_file_name("data").join("snapshots");
    fs::create_dir_all(&snapshots).unwrap();
    let snapshot = snapshots.join("0000000000000001.segment");
    fs::write(&snapshot, "").unwrap();
    assert!(cluster.refused(&[2], 2, None).contains("holds a journal or snapshots"));
    fs::remove_file(snapshot).unwrap();
    // What a new file system holds of its own is not.
    fs::create_dir(snapshots.with_file_name("lost+found")).unwrap();
    replace(&[cluster.file(2)], NODE, None, Some(0)).unwrap();
    // A journal that was used is not a fresh one, whatever its marks say.
    let own = cluster.config(2);
    let (path, disk) = (own.data_dir.clone().unwrap(), DiskId(own.own().disk.unwrap()));
    let configuration = configuration(&own).unwrap();
    let look = || data_dir::look(&path, &configuration, NODE, disk).unwrap();
    assert_eq!(look(), Place::Fresh);
    let options = journal::Options::default();
    let mut opened = data_dir::open(&path, &configuration, NODE, disk, options).unwrap();
    let mut frame = Vec::new();
    let record = paxos::Record::Truncated(Slot(3));
    paxos::wire::encode_record(&configuration, &record, &mut frame);
    opened.journal.append(&frame).unwrap();
    opened.journal.sync().unwrap();
    assert_eq!(
        cluster.refused(&[2], 2, None),
        "node 2 runs: 2/data is in use (if its disk is to be replaced all the same, stop it first)"
    );
    drop(opened);
    assert_eq!(look(), Place::Taken);
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let cluster = Cluster::new();
    cluster.lose();
    assert_eq!(cluster.refused(&[2], 9, None), "there is no node 9 in this cluster");
    assert_eq!(
        cluster.refused(&[1, 2], 4, None),
        "node 4 is no acceptor: it has no votes to lose (empty its data_dir and start node 4: what \
         it has learned it fetches again)"
    );
    assert_eq!(
        cluster.refused(&[1, 3], 2, None),
        "none of these files is node 2's own (run this first with node 2's file, where its new \
         disk is: it prints the --epoch and the --disk for the others)"
    );
    assert_eq!(
        cluster.refused(&[2, 2], 2, None),
        "2/synod.toml and 2/synod.toml are both node 2's file (name each member's file once)"
    );
    let third = "\"03030303030303030303030303030303\"";
    let text = cluster.refused(&[1], 2, parse_identity(&third[1..33]).map(|disk| (1, disk)));
    assert!(text.contains("a new disk a new id"), "it is node 3's: {text}");
    cluster.edit(3, third, "\"ff030303030303030303030303030303\"");
    let text = cluster.refused(&[2, 3], 2, None);
    assert!(text.starts_with("3/synod.toml has other members, roles, quorums or disks than 2"));
    cluster.edit(1, "cluster = \"07", "cluster = \"08");
    let text = cluster.refused(&[2, 1], 2, None);
    assert!(text.starts_with("1/synod.toml has another cluster id than 2/synod.toml"), "{text}");
}

#[test]
fn an_old_copy_of_the_own_file_is_not_believed() {
    let cluster = Cluster::new();
    cluster.lose();
    let text = cluster.refused(&[2], 2, None);
    assert!(text.starts_with("which epoch the other members run is not known here"), "{text}");
    let old = fs::read_to_string(cluster.file(3)).unwrap();
    replace(&cluster.files(), NODE, None, None).unwrap();
    // The next disk that is lost takes its file along, and an old copy of that is found.
    fs::write(cluster.file(3), old).unwrap();
    fs::remove_dir_all(cluster.file(3).with_file_name("data")).unwrap();
    let error = replace(&[cluster.file(3)], NodeId(3), None, Some(1)).unwrap_err();
    assert!(error.to_string().ends_with("is of epoch 0, and the others run 1"), "{error}");
    assert!(error.hint().unwrap().contains("take a running member's file"));
    let text = cluster.refused(&[3, 4], 3, None);
    assert!(text.contains("other members, roles, quorums or disks"), "{text}");
    assert!(!cluster.config(3).data_dir.unwrap().exists());
}

#[test]
fn no_file_leaves_an_epoch_out() {
    let cluster = Cluster::new();
    let text = cluster.refused(&[1], 3, Some((2, [9; 16])));
    assert!(
        text.starts_with("1/synod.toml is of epoch 0 and cannot go to 2 in one step"),
        "{text}"
    );
}

#[test]
fn what_a_lost_disk_promised_matters_where_elections_share_no_acceptor() {
    let cluster = Cluster::new();
    cluster.lose();
    for node in 1..=4 {
        cluster.edit(node, "phase1 = 2", "phase1 = 1");
        cluster.edit(node, "phase2 = 2", "phase2 = 3");
    }
    let text = cluster.refused(&[1, 2, 3, 4], 2, None);
    assert!(
        text.starts_with("no disk can be replaced where two phase-1 quorums of 1 of 3"),
        "{text}"
    );
    // Nor by hand.
    let by_hand = Config { epoch: 1, ..cluster.config(1) };
    assert!(configuration(&by_hand).is_err());
}

#[test]
fn too_few_others_are_no_quorum() {
    let cluster = Cluster::new();
    cluster.lose();
    for node in 1..=4 {
        cluster.edit(node, "phase1 = 2", "phase1 = 3");
    }
    let text = cluster.refused(&[1, 2, 3, 4], 2, None);
    assert!(
        text.starts_with(
            "without node 2 there are 2 acceptors, and a leader needs the promises of 3: what was \
             chosen may be lost with this disk, and no replacement is safe"
        ),
        "{text}"
    );
    assert!(!cluster.config(2).data_dir.unwrap().exists());
}

#[test]
fn a_file_stays_where_and_what_it_is() {
    let cluster = Cluster::new();
    cluster.lose();
    let link = cluster.root.path().join("link.toml");
    symlink(cluster.file(1), &link).unwrap();
    fs::set_permissions(cluster.file(1), fs::Permissions::from_mode(0o640)).unwrap();
    cluster.edit(1, "id = 1", "id = 1 # the first");
    replace(&[cluster.file(2), link.clone()], NODE, None, None).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let mode = fs::metadata(cluster.file(1)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert!(cluster.texts()[0].contains("id = 1 # the first"));
    let left = fs::read_dir(cluster.file(1).parent().unwrap()).unwrap().count();
    assert_eq!(left, 2, "its file and its data");
}

#[test]
fn an_acceptor_never_goes_back_to_an_older_configuration() {
    let cluster = Cluster::new();
    cluster.lose();
    replace(&cluster.files(), NODE, None, None).unwrap();
    let back = Config { epoch: 0, ..cluster.config(2) };
    let error = rehearse(&back, &Options::default()).unwrap_err();
    let path = back.data_dir.unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "this acceptor does not vote: {}: frame 0 of the journal is of epoch 1, later than \
             ours",
            path.display()
        )
    );
    let crate::StartError::DataDir(error) = error else { panic!("{error}") };
    assert!(error.hint().contains("gone over to the configuration of epoch 1"), "{}", error.hint());
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_rest_to_the_next_run() {
    let cluster = Cluster::new();
    cluster.lose();
    let in_the_way = cluster.file(1).with_file_name("synod.toml.new");
    fs::create_dir(&in_the_way).unwrap();
    let error = replace(&cluster.files(), NODE, None, None).unwrap_err();
    assert!(matches!(&error, ReplaceError::Write { path, .. } if *path == cluster.file(1)));
    assert!(error.hint().unwrap().contains("run the same again"));
    fs::remove_dir(in_the_way).unwrap();
    let replaced = replace(&cluster.files(), NODE, None, None).unwrap();
    assert_eq!((replaced.change.epoch, replaced.journal.as_ref()), (1, None));
    assert_eq!(news(&replaced), [true, false, true, true], "its own file is the first");
}

#[test]
fn one_byte_that_rots_does_not_make_votes_that_are_lost_into_none() {
    let cluster = Cluster::new();
    cluster.lose();
    replace(&cluster.files(), NODE, None, None).unwrap();
    let config = cluster.config(2);
    let segment = config.data_dir.clone().unwrap().join("0000000000000001.segment");
    let sound = fs::read(&segment).unwrap();
    let journal = journal::Options { segment_bytes: 64 << 10 };
    let options = Options { journal, ..Options::default() };
    for at in 0..sound.len() {
        if sound[at] == 0 && !at.is_multiple_of(4001) {
            continue; // Mostly padding.
        }
        let mut bytes = sound.clone();
        bytes[at] ^= 0x40;
        fs::write(&segment, &bytes).unwrap();
        let found = rehearse(&config, &options);
        assert!(found.is_err() || found.unwrap().is_suspect, "byte {at}");
        // What the start has made.
        for entry in fs::read_dir(segment.parent().unwrap()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path != segment {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

#[test]
fn a_directory_that_is_lost_again_is_no_success() {
    let cluster = Cluster::new();
    cluster.lose();
    let made = replace(&[cluster.file(2)], NODE, None, Some(0)).unwrap();
    let drawn = Some((made.change.epoch, made.change.disk));
    // The journal that was made is damaged before the others have the change.
    let data = cluster.file(2).with_file_name("data");
    let segment = data.join("0000000000000001.segment");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[20] ^= 1;
    bytes[4096 + 20] ^= 1;
    fs::write(&segment, bytes).unwrap();
    for drawn in [None, drawn] {
        let error = replace(&cluster.files(), NODE, drawn, None).unwrap_err();
        assert!(matches!(error, ReplaceError::Unusable { .. }), "{error}");
        assert_eq!(cluster.config(1).epoch, 0, "nothing was changed");
    }
    // What the hint says leads on.
    let others = [1, 3, 4].map(|node| cluster.file(node));
    replace(&others, NODE, drawn, None).unwrap();
    fs::remove_dir_all(&data).unwrap();
    let again = replace(&cluster.files(), NODE, None, None).unwrap();
    assert_eq!(again.change.epoch, 2);
    let (own, disk) = (cluster.config(2), DiskId(again.change.disk));
    let (configuration, options) = (configuration(&own).unwrap(), journal::Options::default());
    data_dir::open(&data, &configuration, NODE, disk, options).map(drop).unwrap();
}
