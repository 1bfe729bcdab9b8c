//! Certificates: who somebody is, and how a node proves who it is itself.
//!
//! A certificate's identity is a DNS name made of the holder and the cluster
//! (`node-3.<cluster>.synod`, `admin.client.<cluster>.synod`), so that the ordinary verifier of
//! names pins a peer to its id and to its cluster, and no certificate is taken apart here.
//!
//! | file | decides |
//! |---|---|
//! | `identity` | names, and whose a certificate is |
//! | `material` | what the files of a node hold, checked whole; what connections are made with |
//! | `keeper` | the material in force, and its renewal while the node runs |
//! | `authority` | issuing: keys and certificates for nodes and clients |
//! | `private` | files that only their owner may read |
//!
//! How a service uses it:
//!
//! 1. [`Tls::open`] once, at the start; everything that can be wrong
//!    with the files is found there. [`Tls::watch`] renews it while the node runs.
//! 2. Ask [`Tls::material`] anew for *each* handshake, never keep it: renewed files then count from
//!    the next handshake on. [`Material::accepting`] is for who listens, with the protocols (ALPN)
//!    that are spoken there; [`Material::dialling`] for who dials; both are mutual.
//! 3. Who was dialled is checked by the handshake, against [`node_name`]. Who dialled is known
//!    after the handshake: [`Identity::of`] reads it off the certificate that was verified
//!    (`connection.peer_certificates()[0]`), or [`bears`] checks a name that is claimed.
//! 4. A connection that lives long asks [`Material::trusts_dialler`] or
//!    [`Material::trusts_dialled`] from time to time, and when
//!    [`Tls::renewals`] tells of new files: certificates expire, and authorities are withdrawn.

mod authority;
mod identity;
mod keeper;
mod material;
pub mod private;

pub use authority::{Authority, AuthorityError, Issued};
pub use identity::{Identity, bears, client_name, is_client, node_name};
pub use keeper::{POLL_INTERVAL, Tls, WARN_BEFORE};
pub use material::{Files, Material, TlsError};
