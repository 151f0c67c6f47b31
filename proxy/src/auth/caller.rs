//! Who asks, and by what.

use std::sync::Arc;

use super::token::{MachineToken, Scope};
use super::{Identity, UserName};

/// Who a request comes from: nobody, or a user whose password or token was verified.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    identity: Option<Identity>,
    machine: Option<Arc<MachineToken>>,
    session: Option<Arc<Scope>>,
}

impl Caller {
    /// Who shows no credentials.
    pub(crate) fn nobody() -> Self {
        Self::default()
    }

    /// Who showed a password.
    pub(crate) fn user(identity: Identity) -> Self {
        Self { identity: Some(identity), ..Self::default() }
    }

    /// The same caller, by a token for machines, which narrows what its owner may.
    pub(crate) fn by_machine(self, token: Arc<MachineToken>) -> Self {
        Self { machine: Some(token), ..self }
    }

    /// The same caller, by a token for a session with this scope.
    pub(crate) fn by_session(self, scope: Scope) -> Self {
        Self { session: Some(Arc::new(scope)), ..self }
    }

    /// The user; `None` is nobody.
    pub(crate) fn name(&self) -> Option<&UserName> {
        self.identity.as_ref().map(Identity::user)
    }

    /// The token for machines that it is by, or that its session began with.
    pub(crate) fn machine(&self) -> Option<&Arc<MachineToken>> {
        self.machine.as_ref()
    }

    /// What its session is for, where it is by a session's token.
    pub(crate) fn scope(&self) -> Option<&Scope> {
        self.session.as_deref()
    }
}
