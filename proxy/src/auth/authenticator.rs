//! From what a client shows to a [`Caller`]: a password, a token for machines in its place, or a token for a session.
//!
//! What counts at use is what stands in the files of now: a token is good as long as the password or the token that it
//! was made from is what it was.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use super::token::{MachineToken, MachineTokens, Scope, SessionToken, Subject, TokenKeys};
use super::verify::Account;
use super::{Caller, Credentials, Identity, Refused, Verifier};
use crate::metrics::METRICS;

/// How long a token is taken behind its end: the clocks of several gates differ.
const LEEWAY: Duration = Duration::from_secs(60);

/// The same for requests that go on with an upload, which a client may have begun just before.
const LEEWAY_OF_UPLOADS: Duration = Duration::from_secs(5 * 60);

/// Answers who it is, by the files of now.
pub(crate) struct Authenticator {
    verifier: Arc<Verifier>,
    machines: Option<ArcSwap<MachineTokens>>,
    sessions: Option<Sessions>,
}

/// How tokens for sessions are made.
struct Sessions {
    keys: ArcSwap<TokenKeys>,
    service: Box<str>,
    lifetime: Duration,
}

/// A token for a session, fresh.
pub(crate) struct Issued {
    /// As the client is to send it.
    pub(crate) token: String,
    /// How long it is good.
    pub(crate) lifetime: Duration,
}

/// Why a token for a session is none, or none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidToken {
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Nobody here made it; or what it was made from has changed since.
    #[error("the token is not valid, or not any more: log in again")]
    Void,
}

/// What a token for a session hangs on.
enum Behind {
    Nobody,
    Account(Arc<Account>),
    Machine(Identity, Arc<MachineToken>),
}

impl Behind {
    /// What the token's code depends on, so that the token ends when it is changed.
    fn credential(&self) -> &[u8] {
        match self {
            Self::Nobody => &[],
            Self::Account(account) => account.credential(),
            Self::Machine(_, token) => token.credential(),
        }
    }

    fn caller(self) -> Caller {
        match self {
            Self::Nobody => Caller::nobody(),
            Self::Account(account) => Caller::user(account.identity().clone()),
            Self::Machine(owner, token) => Caller::user(owner).by_machine(token),
        }
    }
}

impl Authenticator {
    pub(crate) fn new(verifier: Arc<Verifier>, machines: Option<MachineTokens>) -> Self {
        Self { verifier, machines: machines.map(ArcSwap::from_pointee), sessions: None }
    }

    /// The same, which makes tokens for sessions.
    pub(crate) fn with_sessions(self, keys: TokenKeys, service: &str, lifetime: Duration) -> Self {
        Self {
            sessions: Some(Sessions { keys: ArcSwap::from_pointee(keys), service: service.into(), lifetime }),
            ..self
        }
    }

    /// Whether it makes tokens for sessions.
    pub(crate) fn has_sessions(&self) -> bool {
        self.sessions.is_some()
    }

    /// Takes other keys from now on.
    pub(crate) fn replace_keys(&self, keys: TokenKeys) {
        if let Some(sessions) = &self.sessions {
            sessions.keys.store(Arc::new(keys));
        }
    }

    /// Whether there are tokens for machines.
    pub(crate) fn has_machines(&self) -> bool {
        self.machines.as_ref().is_some_and(|now| now.load().count() > 0)
    }

    /// Takes other tokens for machines from now on.
    pub(crate) fn replace_machines(&self, machines: MachineTokens) {
        if let Some(now) = &self.machines {
            now.store(Arc::new(machines));
        }
    }

    /// Whether a name is a user's. For the log: a client must not be told.
    pub(crate) fn knows(&self, user: &super::UserName) -> bool {
        self.verifier.knows(user)
    }

    /// Who shows these credentials. A token for machines is known by its form: its 160 random bits are no password that
    /// could be guessed, so that it costs no hash, and a wrong one nothing of what wrong passwords are rationed by.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub(crate) async fn by_password(&self, credentials: &Credentials, client: IpAddr) -> Result<Caller, Refused> {
        let Some(secret) = credentials.machine_secret() else {
            return self.verifier.verify(credentials, client).await.map(Caller::user);
        };
        let tokens = self.machines.as_ref().map(ArcSwap::load);
        let token = tokens.and_then(|tokens| tokens.find(&secret, credentials.user(), client, SystemTime::now()));
        match (token, self.verifier.owner(credentials.user())) {
            (Some(token), Some(owner)) => Ok(Caller::user(owner).by_machine(token)),
            _ => Err(Refused::Wrong),
        }
    }

    /// Who shows this token for a session; `goes_on` with an upload.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn by_session(&self, token: &str, client: IpAddr, goes_on: bool) -> Result<Caller, InvalidToken> {
        let sessions = self.sessions.as_ref().ok_or(InvalidToken::Void)?;
        let claims = SessionToken::read(token).ok_or(InvalidToken::Void)?;
        let now = SystemTime::now();
        let behind = self.behind(claims.subject(), client, now);
        // A name that is no user's costs as much as one that is.
        let credential = behind.as_ref().map_or(&[][..], Behind::credential);
        let session = claims.verify(&sessions.keys.load(), &sessions.service, credential);
        let (session, behind) = session.zip(behind).ok_or(InvalidToken::Void)?;
        let leeway = if goes_on { LEEWAY_OF_UPLOADS } else { LEEWAY };
        if session.expires + leeway < now {
            return Err(InvalidToken::Expired);
        }
        Ok(behind.caller().by_session(session.scope))
    }

    /// Who a token is said to be of, if they are there.
    fn behind(&self, subject: &Subject, client: IpAddr, now: SystemTime) -> Option<Behind> {
        match subject {
            Subject::Anonymous => Some(Behind::Nobody),
            Subject::User(user) => self.verifier.account(user).map(Behind::Account),
            Subject::Machine { user: owner, id } => {
                let tokens = self.machines.as_ref().map(ArcSwap::load);
                let token = tokens.and_then(|tokens| tokens.by_id(id.as_str()).cloned());
                let token = token.filter(|token| token.owner == *owner && token.admits(client, now));
                token.zip(self.verifier.owner(owner)).map(|(token, owner)| Behind::Machine(owner, token))
            }
        }
    }

    /// A token for a session of this caller, who showed a password, or is nobody; `None` where none are made. Nobody's is
    /// the same for everybody within a minute, and for nothing in particular.
    pub(crate) fn issue(&self, caller: &Caller, scope: &Scope) -> Option<Issued> {
        let sessions = self.sessions.as_ref()?;
        let now = SystemTime::now();
        let lifetime = sessions.lifetime;
        let (subject, credential, end) = match (caller.name(), caller.machine()) {
            (None, _) => (Subject::Anonymous, Vec::new(), None),
            (Some(user), None) => {
                (Subject::User(user.clone()), self.verifier.account(user)?.credential().to_owned(), None)
            }
            (Some(user), Some(token)) => {
                let subject = Subject::Machine { user: user.clone(), id: token.id };
                (subject, token.credential().to_owned(), token.expires)
            }
        };
        let end = end.map_or(now + lifetime, |end| end.min(now + lifetime));
        let end = if subject == Subject::Anonymous { whole_minute(end) } else { end };
        let lifetime = end.duration_since(now).unwrap_or_default();
        let keys = sessions.keys.load();
        let scope = if subject == Subject::Anonymous { &Scope::default() } else { scope };
        let token = SessionToken::issue(&keys, &sessions.service, &subject, scope, end, &credential);
        METRICS.tokens.inc();
        Some(Issued { token, lifetime })
    }
}

/// The beginning of the minute behind it.
fn whole_minute(at: SystemTime) -> SystemTime {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    SystemTime::UNIX_EPOCH + Duration::from_secs((seconds / 60 + 1) * 60)
}
