//! From credentials to an identity.
//!
//! **A password costs once.** A verified password is remembered with its user as
//! HMAC-SHA256(random key of this process, user, password, stored hash); from then on a request
//! costs one HMAC and one look into a map, without a lock. A user has one stored hash and so one
//! password to remember: the memory is as large as the file, wrong passwords never enter it, and
//! nothing is ever evicted. Where the stored hash changes the code does not match any more; where the
//! user is removed there is nothing to match.
//!
//! **Wrong passwords are rationed** (`throttle`), by the client's address and the user's name, before a
//! hash is computed. A remembered password does not come that far: it always passes. Wrong ones are
//! remembered elsewhere.
//!
//! **A stranger looks like a wrong password.** For a user who is not in the file, or whose entry was
//! refused, the same work is done over the kind of hash that most users of the file have, and its
//! outcome thrown away. In a file of mixed schemes the time of a refusal still tells the scheme.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::thread;

use arc_swap::ArcSwap;
use aws_lc_rs::{constant_time, hmac, rand::SystemRandom};

use super::pool::Pool;
use super::throttle::{Admission, Throttle, Verdict};
use super::{Credentials, FailureLimit, Scheme, StoredHash, Throttled, UserName, Users};
use crate::network::Network;

/// A user whose password was verified: made by [`Verifier`] alone. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity(UserName);

/// Why credentials give no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Which of the two is wrong, nobody is told. A 401.
    #[error("the user name or the password is wrong")]
    Wrong,
    /// Too many passwords wait to be checked; this one was not looked at. A 429 with Retry-After.
    #[error("too many passwords are being checked; try again in a moment")]
    Busy,
    /// Too many passwords from there were wrong; this one was not looked at. A 429 with Retry-After.
    #[error(transparent)]
    Throttled(#[from] Throttled),
}

/// How much hashing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifierLimits {
    /// Threads that hash.
    pub threads: NonZeroUsize,
    /// Passwords that wait for them, over all threads; one more is [`Refused::Busy`].
    pub queue: usize,
    /// Failures of one user name from one client address (of IPv6: /64).
    pub per_user: FailureLimit,
    /// Failures from one client address (of IPv6: /64), of all user names together.
    pub per_address: FailureLimit,
    /// How many user names and addresses with failures are remembered, and how many wrong passwords;
    /// 24 bytes each.
    pub memory: usize,
}

impl VerifierLimits {
    /// Threads for [`VerifierLimits::threads`] that leave as many processors to those whose password is known.
    pub fn half_of_the_processors() -> NonZeroUsize {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        NonZeroUsize::new(processors / 2).unwrap_or(NonZeroUsize::MIN)
    }
}

/// Answers who it is. Shared by all requests; the users in it can be replaced at any time.
pub struct Verifier {
    directory: ArcSwap<Directory>,
    /// Whether a password matched, or why it was not looked at.
    pool: Pool<Result<bool, Throttled>>,
    throttle: Arc<Throttle>,
    /// Random, and gone with the process.
    key: hmac::Key,
}

struct Directory {
    accounts: HashMap<UserName, Arc<Account>>,
    without_password: BTreeSet<UserName>,
    /// The account that strangers are checked against; there is none where there is no user to hide.
    decoy: Option<Arc<Account>>,
}

/// A user who is in the file.
pub(crate) struct Account {
    identity: Identity,
    hash: StoredHash,
    /// The code of the password, once it was verified.
    remembered: OnceLock<Code>,
}

/// Credentials beside the account that they are checked against.
struct Claim {
    account: Arc<Account>,
    /// Whether it is the claimed user's own account, and not the decoy.
    own: bool,
    code: Code,
}

/// The HMAC of a user, a password and a stored hash.
type Code = [u8; 32];

impl Verifier {
    /// Starts the threads that hash.
    ///
    /// # Errors
    /// The system has no more threads, or no randomness.
    pub fn new(users: Users, limits: VerifierLimits) -> io::Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| io::Error::other("the system gives no randomness"))?;
        Ok(Self {
            directory: ArcSwap::from_pointee(Directory::new(users, None)),
            pool: Pool::start(limits.threads.get(), limits.queue)?,
            throttle: Throttle::new(limits.per_user, limits.per_address, limits.memory),
            key,
        })
    }

    /// Who it is, hashing the password if it is not remembered. `client` is where it comes from.
    /// Dropping the future is safe.
    ///
    /// # Errors
    /// Any [`Refused`].
    pub async fn verify(&self, credentials: &Credentials, client: IpAddr) -> Result<Identity, Refused> {
        let claim = self.claim(credentials).ok_or(Refused::Wrong)?;
        if claim.is_remembered() {
            return Ok(claim.account.identity.clone());
        }
        let (account, own) = (Arc::clone(&claim.account), claim.own);
        let network = Network::from(client);
        let key = (network, claim.code);
        let flight = match self.pool.under_way(&key) {
            // It computes nothing, and so it costs nothing.
            Some(flight) => flight,
            // A stranger who is given the decoy's line has another password then, if not another code.
            None => match self.throttle.admit(network, credentials.user(), (claim.code, own))? {
                Verdict::Wait(admission) => self.pool.begin(key, claim.check(credentials, admission)),
                Verdict::KnownWrong => return Err(Refused::Wrong),
            },
        };
        let matched = flight.answer().await.map_err(|_| Refused::Busy)??;
        if matched && own && self.still_holds(&account) { Ok(account.identity.clone()) } else { Err(Refused::Wrong) }
    }

    /// Takes other users from now on. Those whose stored hash is the same stay remembered.
    pub fn replace(&self, users: Users) {
        let directory = Directory::new(users, Some(&self.directory.load()));
        self.directory.store(Arc::new(directory));
    }

    /// Whether there is such a user. For the log: a client must not be told.
    pub fn knows(&self, user: &UserName) -> bool {
        self.directory.load().accounts.contains_key(user)
    }

    /// What the file has of a user with a password.
    pub(crate) fn account(&self, user: &UserName) -> Option<Arc<Account>> {
        self.directory.load().accounts.get(user).cloned()
    }

    /// A user who is in the file, with a password or without, and was verified by another proof.
    pub(crate) fn owner(&self, user: &UserName) -> Option<Identity> {
        let directory = self.directory.load();
        let is_there = directory.accounts.contains_key(user) || directory.without_password.contains(user);
        is_there.then(|| Identity(user.clone()))
    }

    fn claim(&self, credentials: &Credentials) -> Option<Claim> {
        let directory = self.directory.load();
        let own_account = directory.accounts.get(credentials.user());
        let account = Arc::clone(own_account.or(directory.decoy.as_ref())?);
        let code = self.code(credentials, &account.hash);
        Some(Claim { own: own_account.is_some(), account, code })
    }

    /// Each part with its length before it, so that no two sets of parts read the same.
    fn code(&self, credentials: &Credentials, hash: &StoredHash) -> Code {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [credentials.user().as_str(), credentials.password().expose(), hash.as_str()] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part.as_bytes());
        }
        context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Whether the account outlived its verification: the file may have changed meanwhile.
    fn still_holds(&self, account: &Arc<Account>) -> bool {
        let directory = self.directory.load();
        directory.accounts.get(account.identity.user()).is_some_and(|now| Arc::ptr_eq(now, account))
    }
}

impl Account {
    /// For who was verified by another proof than the password.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What another proof may depend on, so that it ends when the password is changed.
    pub(crate) fn credential(&self) -> &[u8] {
        self.hash.as_str().as_bytes()
    }
}

impl Claim {
    /// The work that decides it.
    fn check(
        self,
        credentials: &Credentials,
        admission: Admission,
    ) -> impl FnOnce() -> Result<bool, Throttled> + Send + 'static {
        let password = Arc::clone(credentials.password());
        move || {
            let attempt = admission.begin()?;
            let matched = self.account.hash.matches(password.expose());
            if matched && self.own {
                // Set before the answer is out: whoever comes later finds it here or waits for the same answer.
                let _ = self.account.remembered.set(self.code);
            } else {
                attempt.failed();
            }
            Ok(matched)
        }
    }

    fn is_remembered(&self) -> bool {
        let remembered = self.account.remembered.get();
        let same = remembered.is_some_and(|code| constant_time::verify_slices_are_equal(code, &self.code).is_ok());
        same && self.own
    }
}

impl Directory {
    fn new(users: Users, before: Option<&Self>) -> Self {
        let account = |(user, hash): (UserName, StoredHash)| {
            let kept = before.and_then(|directory| directory.accounts.get(&user)).filter(|old| old.hash == hash);
            let account = match kept {
                Some(old) => Arc::clone(old),
                None => Arc::new(Account { identity: Identity(user.clone()), hash, remembered: OnceLock::new() }),
            };
            (user, account)
        };
        let without_password = users.without_password().clone();
        let accounts = users.into_hashes().into_iter().map(account).collect();
        Self { decoy: decoy(&accounts), accounts, without_password }
    }
}

/// An account of the commonest scheme, the costliest among equals.
fn decoy(accounts: &HashMap<UserName, Arc<Account>>) -> Option<Arc<Account>> {
    let mut counts: HashMap<Scheme, usize> = HashMap::new();
    for account in accounts.values() {
        *counts.entry(account.hash.scheme()).or_default() += 1;
    }
    let rank = |account: &&Arc<Account>| {
        let scheme = account.hash.scheme();
        (counts[&scheme], scheme)
    };
    accounts.values().max_by_key(rank).cloned()
}

impl Identity {
    /// One for tests of what comes behind the verification.
    #[cfg(test)]
    pub(crate) fn of_tests(name: &str) -> Self {
        Self(name.parse().expect("a user name"))
    }

    /// The user's name.
    pub fn user(&self) -> &UserName {
        &self.0
    }

    /// The user's name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;
