//! Who may ask for what, decided in one place before a request is read.
//!
//! A method that is not in the table below is for operators, so a new one is closed until somebody
//! opens it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use sha2::{Digest as _, Sha256};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tower::{Layer, Service};

use super::listener::Caller;
use crate::config::{Grant, Permission};
use crate::counters::Counters;

/// A longer one is no token of ours, and is not hashed.
const TOKEN_BYTES_MAX: usize = 1024;

/// What clients may do.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everybody everything: nobody can be told from anybody else.
    Open,
    /// What the configuration grants.
    Granted(Arc<[Grant]>),
}

/// Asks each request who sends it.
#[derive(Clone, Debug)]
pub struct Guard {
    /// What is granted.
    pub access: Access,
    /// Where refusals are counted.
    pub counters: Arc<Counters>,
}

/// A service behind a [`Guard`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    guard: Guard,
    inner: S,
}

/// What a method needs.
fn needed(path: &str) -> Permission {
    match path {
        "/synod.v1.Log/Append" => Permission::Append,
        "/synod.v1.Log/Read" | "/synod.v1.Log/Tail" | "/synod.v1.Cluster/Status" => {
            Permission::Read
        }
        _ => Permission::Operate,
    }
}

impl Access {
    /// Whether a client may: it is named by its certificate, or by a token.
    fn allows(
        &self,
        certified: Option<&str>,
        headers: &HeaderMap,
        path: &str,
    ) -> Result<(), Denied> {
        let Access::Granted(grants) = self else { return Ok(()) };
        let grant = match (token(headers), certified) {
            // Who shows both is taken at the word of the narrower proof that it chose to send.
            (Some(token), _) => {
                let hash: [u8; 32] = Sha256::digest(token).into();
                grants.iter().find(|it| it.token_sha256 == Some(hash))
            }
            (None, Some(name)) => grants.iter().find(|it| it.name == name),
            (None, None) => None,
        };
        let needed = needed(path);
        match grant {
            None => Err(Denied::Unknown),
            Some(grant) if grant.permissions.contains(&needed) => Ok(()),
            Some(_) => Err(Denied::Lacks(needed)),
        }
    }
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denied {
    /// Nobody that is named here.
    Unknown,
    /// It is known, and may not.
    Lacks(Permission),
}

impl Denied {
    fn status(self) -> Status {
        match self {
            Denied::Unknown => Status::unauthenticated("no client of this cluster"),
            Denied::Lacks(permission) => {
                Status::permission_denied(format!("this client may not {permission}"))
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Denied::Unknown => "clients_refused_unknown",
            Denied::Lacks(_) => "clients_refused_permission",
        }
    }
}

fn token(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    // Something else in there names nobody, and so does a token that is too long.
    let token = value.strip_prefix(b"Bearer ").unwrap_or_default();
    Some(token.get(..TOKEN_BYTES_MAX).map_or(token, |_| &[]))
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let caller = request.extensions().get::<Caller>();
        let certified = caller.and_then(|caller| caller.certified.as_deref());
        let allowed = self.guard.access.allows(certified, request.headers(), request.uri().path());
        match allowed {
            Ok(()) => {
                if let Some(caller) = caller {
                    caller.standing.vouch();
                }
                Box::pin(self.inner.call(request))
            }
            Err(denied) => {
                self.guard.counters.count(denied.name());
                Box::pin(async move { Ok(denied.status().into_http()) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const APPEND: &str = "/synod.v1.Log/Append";
    const READ: &str = "/synod.v1.Log/Read";
    const FAIL: &str = "/synod.v1.Chaos/Fail";

    fn access() -> Access {
        let grant = |name: &str, permissions: &[Permission], token: Option<&str>| Grant {
            name: name.into(),
            permissions: permissions.iter().copied().collect::<BTreeSet<_>>(),
            token_sha256: token.map(|token| Sha256::digest(token).into()),
        };
        Access::Granted(Arc::new([
            grant("admin", &[Permission::Append, Permission::Read, Permission::Operate], None),
            grant("app", &[Permission::Append], Some("an app's token")),
            grant("eyes", &[Permission::Read], Some("a reader's token")),
        ]))
    }

    fn bearer(token: &str) -> HeaderMap {
        let value = format!("Bearer {token}").parse().unwrap();
        HeaderMap::from_iter([(AUTHORIZATION, value)])
    }

    #[test]
    fn a_client_may_what_it_was_granted_and_no_more() {
        let access = access();
        let named = |name, path| access.allows(Some(name), &HeaderMap::new(), path);
        assert_eq!([APPEND, READ, FAIL].map(|path| named("admin", path)), [Ok(()); 3]);
        assert_eq!(named("app", APPEND), Ok(()));
        assert_eq!(named("app", READ), Err(Denied::Lacks(Permission::Read)));
        assert_eq!(named("eyes", READ), Ok(()));
        assert_eq!(named("eyes", APPEND), Err(Denied::Lacks(Permission::Append)));
        assert_eq!(named("app", FAIL), Err(Denied::Lacks(Permission::Operate)));
        assert_eq!(named("nobody", READ), Err(Denied::Unknown));
    }

    #[test]
    fn a_token_is_as_good_as_a_certificate() {
        let access = access();
        let with = |token: &str, path| access.allows(None, &bearer(token), path);
        assert_eq!(with("an app's token", APPEND), Ok(()));
        assert_eq!(with("an app's token", READ), Err(Denied::Lacks(Permission::Read)));
        for wrong in ["", "an app's toke", "an app's token ", &"x".repeat(TOKEN_BYTES_MAX + 1)] {
            assert_eq!(with(wrong, APPEND), Err(Denied::Unknown), "{wrong}");
        }
        let basic = HeaderMap::from_iter([(AUTHORIZATION, "Basic an".parse().unwrap())]);
        assert_eq!(access.allows(None, &basic, APPEND), Err(Denied::Unknown));
        // A wrong token is not made good by a certificate.
        assert_eq!(access.allows(Some("admin"), &bearer("wrong"), READ), Err(Denied::Unknown));
        assert_eq!(access.allows(None, &HeaderMap::new(), READ), Err(Denied::Unknown));
    }

    #[test]
    fn what_is_not_in_the_table_is_for_operators() {
        for path in ["", "/", "/synod.v1.Log/Append/", "/synod.v1.Log/append", "/synod.v2.Log/Read"]
        {
            assert_eq!(needed(path), Permission::Operate, "{path}");
        }
    }

    #[test]
    fn without_grants_nobody_can_be_told_from_anybody() {
        assert_eq!(Access::Open.allows(None, &HeaderMap::new(), FAIL), Ok(()));
    }
}
