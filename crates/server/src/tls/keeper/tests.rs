//! Files that are in order, and all the ways in which they are not.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::tls::{Authority, Issued, private};

const CLUSTER: ClusterId = ClusterId([7; 16]);
const ME: NodeId = NodeId(3);
const DAY: Duration = Duration::from_secs(86_400);

struct Desk {
    directory: tempfile::TempDir,
    authority: Authority,
}

impl Desk {
    fn new() -> Desk {
        let authority = Authority::draw(CLUSTER).unwrap();
        let desk = Desk { directory: tempfile::tempdir().unwrap(), authority };
        desk.trust(&[&desk.authority]);
        desk.give(&desk.authority.node(ME, &[], DAY).unwrap());
        desk
    }

    fn files(&self) -> Files {
        let at = |name: &str| self.directory.path().join(name);
        Files { ca: at("ca.crt"), certificate: at("node.crt"), key: at("node.key") }
    }

    fn trust(&self, authorities: &[&Authority]) {
        let all: String =
            authorities.iter().map(|it| it.itself(DAY * 9).unwrap().certificate).collect();
        fs::write(self.files().ca, all).unwrap();
    }

    fn give(&self, issued: &Issued) {
        fs::write(self.files().certificate, &issued.certificate).unwrap();
        private::write(&self.files().key, issued.key.as_bytes()).unwrap();
    }

    fn open(&self) -> Result<Tls, TlsError> {
        Tls::open(ME, CLUSTER, self.files())
    }

    fn refused(&self) -> String {
        let error = self.open().unwrap_err();
        assert!(!error.hint().is_empty());
        let prefix = self.directory.path().display().to_string();
        error.to_string().replace(&format!("{prefix}{}", std::path::MAIN_SEPARATOR), "")
    }
}

fn count(tls: &Tls, name: &str) -> u64 {
    tls.counters().into_iter().find(|(known, _)| *known == name).unwrap().1
}

#[test]
fn the_end_of_a_certificate_is_known() {
    let desk = Desk::new();
    let tls = desk.open().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let left = tls.expires() - now.as_secs();
    assert!((86_300..=86_400).contains(&left), "{left}");
    assert!(tls.left() < WARN_BEFORE);
}

#[test]
fn every_wrong_file_is_named_with_its_fault() {
    let desk = Desk::new();
    desk.open().unwrap();
    let good = desk.authority.node(ME, &[], DAY).unwrap();

    desk.give(&desk.authority.node(NodeId(2), &[], DAY).unwrap());
    let name = format!("node-3.{}.synod", "07".repeat(16));
    assert_eq!(desk.refused(), format!("node.crt: it is not the certificate of {name}"));

    let other = Authority::draw(ClusterId([8; 16])).unwrap();
    desk.give(&other.node(ME, &[], DAY).unwrap());
    assert_eq!(desk.refused(), "node.crt: none of the authorities in `ca` has issued it");
    desk.trust(&[&desk.authority, &other]);
    assert!(desk.refused().starts_with("node.crt: it is not the certificate of"), "cluster");
    desk.trust(&[&desk.authority]);

    // Not before so long, so that it is over already.
    desk.give(&desk.authority.node(ME, &[], Duration::ZERO).unwrap());
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(desk.refused(), "node.crt: it has expired");

    desk.give(&desk.authority.client("node-3", DAY).unwrap());
    assert!(desk.refused().starts_with("node.crt: it is not"), "a client is no node");

    desk.give(&Issued { key: desk.authority.node(ME, &[], DAY).unwrap().key, ..good });
    assert_eq!(desk.refused(), "node.key is not the key of node.crt");

    fs::write(desk.files().certificate, "").unwrap();
    assert_eq!(desk.refused(), "node.crt: there is no certificate in it");
    private::write(&desk.files().key, b"-----BEGIN PRIVATE KEY-----\n!\n").unwrap();
    desk.give(&desk.authority.node(ME, &[], DAY).unwrap());
    private::write(&desk.files().key, b"-----BEGIN PRIVATE KEY-----\n!\n").unwrap();
    assert_eq!(desk.refused(), "node.key: there is no private key in it");

    fs::write(desk.files().ca, vec![b'x'; 300 << 10]).unwrap();
    assert_eq!(desk.refused(), "ca.crt: is larger than 256 KiB");
    fs::remove_file(desk.files().ca).unwrap();
    assert!(desk.refused().starts_with("ca.crt: cannot be read"));
}

#[cfg(unix)]
#[test]
fn a_key_that_others_may_read_is_none() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new();
    fs::set_permissions(desk.files().key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(desk.refused(), "node.key: others may read this private key");
}

#[test]
fn new_files_count_and_broken_ones_do_not() {
    let desk = Desk::new();
    let tls = desk.open().unwrap();
    assert!(!tls.reload().unwrap(), "nothing is new");
    let first = tls.material();
    let mut renewals = tls.renewals();

    desk.give(&desk.authority.node(ME, &[], DAY * 2).unwrap());
    assert!(tls.reload().unwrap());
    let second = tls.material();
    assert!(second.expires() > first.expires());
    assert!(renewals.has_changed().unwrap());
    renewals.mark_unchanged();

    fs::write(desk.files().certificate, "half a certif").unwrap();
    tls.reload().unwrap_err();
    tls.reload().unwrap_err();
    assert_eq!(count(&tls, "renewal_refused"), 1, "the same fault is one");
    assert!(Arc::ptr_eq(&second, &tls.material()), "the old ones stay");
    fs::remove_file(desk.files().certificate).unwrap();
    tls.reload().unwrap_err();
    assert_eq!(count(&tls, "renewal_refused"), 2, "another fault");
    assert!(!renewals.has_changed().unwrap());

    desk.give(&desk.authority.node(ME, &[], DAY * 3).unwrap());
    assert!(tls.reload().unwrap());
    assert_eq!(count(&tls, "renewed"), 2);
}

#[test]
fn a_withdrawn_authority_is_trusted_no_more() {
    let desk = Desk::new();
    let tls = desk.open().unwrap();
    let chain = |authority: &Authority| {
        use rustls::pki_types::pem::PemObject as _;
        let issued = authority.node(NodeId(2), &[], DAY).unwrap();
        vec![
            rustls::pki_types::CertificateDer::from_pem_slice(issued.certificate.as_bytes())
                .unwrap(),
        ]
    };
    let name = crate::tls::node_name(CLUSTER, NodeId(2));
    let new = Authority::draw(CLUSTER).unwrap();
    let (old_peer, new_peer) = (chain(&desk.authority), chain(&new));
    let trusts = |chain: &[_]| {
        let material = tls.material();
        let both = [material.trusts_dialler(chain), material.trusts_dialled(chain, &name)];
        assert_eq!(both[0].is_ok(), both[1].is_ok());
        both[0].is_ok()
    };
    assert!(trusts(&old_peer) && !trusts(&new_peer));
    desk.trust(&[&desk.authority, &new]);
    assert!(tls.reload().unwrap());
    assert!(trusts(&old_peer) && trusts(&new_peer), "both while they change");
    desk.trust(&[&new]);
    tls.reload().unwrap_err();
    assert!(trusts(&old_peer), "a bundle without one's own authority is refused");
    desk.give(&new.node(ME, &[], DAY).unwrap());
    assert!(tls.reload().unwrap());
    assert!(!trusts(&old_peer) && trusts(&new_peer));
}

#[test]
fn secrets_are_in_no_debug_text() {
    let desk = Desk::new();
    let tls = desk.open().unwrap();
    let key = fs::read_to_string(desk.files().key).unwrap();
    let text = format!("{tls:?} {:?}", tls.material());
    assert!(!text.contains(key.lines().nth(1).unwrap()) && !text.contains("contents"));
    assert!(Path::new(&desk.files().key).exists());
}
