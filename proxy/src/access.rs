//! May they? An [`Identity`] and a [`Route`] make a [`Permit`], and only a permit opens the upstream.

use lockgate_oci::Route;

use crate::auth::Identity;

/// Leave for one request to go to the upstream: who asks, and for what. It is made here only.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    identity: Identity,
    route: Route,
}

impl Permit {
    /// Every user of the htpasswd file may do everything on every end-point that is one.
    pub(crate) fn decide(identity: Identity, route: Route) -> Self {
        Self { identity, route }
    }

    /// Who asks.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What for.
    pub(crate) fn route(&self) -> &Route {
        &self.route
    }
}
