//! The material in force, and its renewal while the node runs.
//!
//! New files count from the next handshake on. Files that are not in order change nothing: the old
//! ones stay in force, and the log says what is wrong, once for each state of the files.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use paxos::{ClusterId, NodeId};
use tokio::sync::watch;

use super::material::{Contents, Files, Material, TlsError};

/// How often the files are looked at.
pub const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How long before its end a certificate is spoken of in the log, once a day.
pub const WARN_BEFORE: Duration = Duration::from_secs(14 * 86_400);

const WARN_INTERVAL: Duration = Duration::from_secs(86_400);

/// How often it is asked whether a connection's certificates still count, beside each renewal.
pub const TRUST_INTERVAL: Duration = Duration::from_secs(60);

/// A node's certificates, renewed while it runs.
pub struct Tls {
    node: NodeId,
    cluster: ClusterId,
    files: Files,
    current: RwLock<Arc<Material>>,
    /// What was wrong with the files when they were last looked at, to be said once.
    refused: Mutex<Option<u64>>,
    /// Counts the materials that were in force.
    renewals: watch::Sender<u64>,
    renewal_refused: AtomicU64,
}

impl Tls {
    /// Reads and checks a node's files.
    pub fn open(node: NodeId, cluster: ClusterId, files: Files) -> Result<Tls, TlsError> {
        let contents = Contents::read(&files)?;
        let material = Arc::new(Material::new(node, cluster, &files, contents)?);
        let (renewals, _) = watch::channel(0);
        Ok(Tls {
            node,
            cluster,
            files,
            current: RwLock::new(material),
            refused: Mutex::new(None),
            renewals,
            renewal_refused: AtomicU64::new(0),
        })
    }

    /// Whose identities these certificates are about.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// What the next handshake is to be made with.
    pub fn material(&self) -> Arc<Material> {
        // Whoever panicked while it held the lock had not replaced it yet, or had.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells of new files: the value grows with each renewal.
    pub fn renewals(&self) -> watch::Receiver<u64> {
        self.renewals.subscribe()
    }

    /// Returns once what a connection rests on would not do any more. It is asked now, with each
    /// renewal and from time to time, for certificates end.
    pub async fn while_trusted(&self, trusts: impl Fn(&Material) -> bool) {
        let mut renewals = self.renewals();
        while trusts(&self.material()) {
            // The sender lives as long as `self`.
            tokio::time::timeout(TRUST_INTERVAL, renewals.changed()).await.ok();
        }
    }

    /// Looks at the files and takes what is new in them. Says whether anything was.
    ///
    /// # Errors
    /// If the files are not in order. What was in force stays so; it is logged and counted, once
    /// for each state of the files.
    pub fn reload(&self) -> Result<bool, TlsError> {
        // One at a time: two that overlap could put an older state in force.
        let mut refused = lock(&self.refused);
        let contents = Contents::read(&self.files);
        if contents.as_ref().is_ok_and(|it| it == self.material().contents()) {
            *refused = None;
            return Ok(false);
        }
        let mut state = DefaultHasher::new();
        contents.as_ref().ok().hash(&mut state);
        let made = contents
            .and_then(|contents| Material::new(self.node, self.cluster, &self.files, contents));
        let material = match made {
            Ok(material) => Arc::new(material),
            Err(error) => {
                error.to_string().hash(&mut state);
                let state = state.finish();
                if refused.replace(state) != Some(state) {
                    self.renewal_refused.fetch_add(1, Ordering::Relaxed);
                    let hint = error.hint();
                    tracing::error!(
                        node = self.node.0, %error, hint,
                        "new certificates are refused; the old ones stay in force"
                    );
                }
                return Err(error);
            }
        };
        let expires = material.expires();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = material;
        *refused = None;
        self.renewals.send_modify(|count| *count += 1);
        tracing::info!(node = self.node.0, expires, "new certificates are in force");
        Ok(true)
    }

    /// Looks at the files every [`POLL_INTERVAL`] until `stopping`, and warns of a certificate that
    /// is about to end.
    pub async fn watch(self: Arc<Tls>, mut stopping: watch::Receiver<bool>) {
        let mut warned: Option<Instant> = None;
        loop {
            let left = self.left();
            let is_due = warned.is_none_or(|at| at.elapsed() >= WARN_INTERVAL);
            if left < WARN_BEFORE && is_due {
                warned = Some(Instant::now());
                let hours = left.as_secs() / 3600;
                tracing::warn!(node = self.node.0, hours, "this node's certificate ends soon");
            }
            tokio::select! {
                // An error says that the node is gone.
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
            let tls = self.clone();
            // Whatever is wrong was logged; a disk that hangs holds up nobody but this task.
            tokio::task::spawn_blocking(move || tls.reload().ok()).await.ok();
        }
    }

    /// How long the node's certificate counts yet.
    fn left(&self) -> Duration {
        let end = Duration::from_secs(self.expires());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        end.saturating_sub(now)
    }

    /// When the node's certificate in force ends, in seconds since 1970.
    pub fn expires(&self) -> u64 {
        self.material().expires()
    }

    /// What was counted since the start, by name.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("renewed", *self.renewals.borrow()),
            ("renewal_refused", self.renewal_refused.load(Ordering::Relaxed)),
        ]
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("node", &self.node)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
