//! Who is it: from an `Authorization` header and an htpasswd file to an [`Identity`].
//!
//! ```text
//! header value ──▶ Credentials ──┐
//!                                ├──▶ Verifier ──▶ Identity
//! htpasswd file ──▶ Users ───────┘       │
//!                                        └──▶ Refused
//! ```
//!
//! An [`Identity`] is made by a [`Verifier`] alone. Nothing here logs: errors and warnings are
//! values whose texts never hold a password, a hash or a line of the file.

mod apr1;
mod authenticator;
mod caller;
mod credentials;
mod crypt_base64;
mod edit;
mod hash;
mod htpasswd;
mod ledger;
mod pool;
mod queue;
mod sha_crypt;
mod throttle;
mod token;
mod user;
mod verify;

pub use credentials::{Credentials, CredentialsError, Password};
pub use hash::{BCRYPT_MAX_PASSWORD, HashError, Policy, Scheme, StoredHash};
pub use htpasswd::{Defect, HtpasswdError, LineError, LineProblem, Users, Warning};
pub use throttle::{FailureLimit, Throttled};
pub use token::{
    Claims, KeyFileDefect, MachineSecret, MachineToken, MachineTokens, MachineTokensDefect, MachineTokensError, Scope,
    ScopeError, ScopeRights, Session, SessionToken, Subject, TokenHash, TokenId, TokenIdError, TokenKeys,
    TokenKeysError, TokenLineError,
};
pub use user::{UserName, UserNameError};
pub use verify::{Identity, Refused, Verifier, VerifierLimits};

pub(crate) use authenticator::{Authenticator, InvalidToken};
pub(crate) use caller::Caller;
pub(crate) use edit::{remove_user, replace_user};
pub(crate) use token::{NEVER, add_key, add_token, new_key_file, promote_last_key, remove_token};
