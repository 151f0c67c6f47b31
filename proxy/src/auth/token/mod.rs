//! Tokens: what a client shows in the place of a password.
//!
//! | | a session token | a machine token |
//! |---|---|---|
//! | made by | `/token`, of a password or a machine token | `lockgate token create` |
//! | lives | minutes | until its end, or until it is revoked |
//! | is shown as | `Authorization: Bearer` | the password of its owner |
//! | is kept | nowhere: it is signed | as its SHA-256, in a file |
//! | says | who, and what was asked for ([`Scope`]) | an id; the file says whose it is and what it leaves of its owner's rights |
//!
//! Neither gives a right. Both narrow what the grants of the moment give.

mod keys;
mod machine;
mod scope;
mod secret;
mod session;

pub use keys::{KeyFileDefect, TokenKeys, TokenKeysError};
pub use machine::{MachineToken, MachineTokens, MachineTokensDefect, MachineTokensError, TokenLineError};
pub use scope::{Scope, ScopeError, ScopeRights};
pub use secret::{MachineSecret, TokenHash, TokenId, TokenIdError};
pub use session::{Claims, Session, SessionToken, Subject};

pub(crate) use keys::{add_key, new_key_file, promote_last_key};
pub(crate) use machine::{NEVER, add_token, remove_token};
