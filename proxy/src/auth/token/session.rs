//! Session tokens: a signed note of who logged in, for what, and until when. Nothing is kept of them.
//!
//! ```text
//! base64url( version 1 | expiry 8 | kind 1 | [length 1 | user] | [id 8] | scope | MAC 32 )
//! MAC = HMAC-SHA256(key, purpose, service, everything before it, credential)
//! ```
//!
//! The credential behind a token, which is the stored hash of the user's password or of the machine token, is in the
//! MAC and not in the token: where it changes, the token ends, and nothing about it can be read from a token that was
//! found. Who it claims to be is read before the MAC can be checked, since that decides the credential; the scope
//! is read after it.
//!
//! Whether it has expired is for the caller to say, who knows how much a clock may be wrong and whether an upload is
//! under way.

use std::str;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Scope, TokenId, TokenKeys};
use crate::auth::UserName;

/// So that nothing else that the keys sign is ever a token.
const PURPOSE: &str = "lockgate session token";
const VERSION: u8 = 1;
const MAC_LEN: usize = 32;

const ANONYMOUS: u8 = 0;
const USER: u8 = 1;
const MACHINE: u8 = 2;

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Somebody who showed no credentials.
    Anonymous,
    /// A user who showed the password.
    User(UserName),
    /// A user who showed a machine token, which narrows what the session may do.
    Machine {
        /// The token's owner.
        user: UserName,
        /// The token.
        id: TokenId,
    },
}

/// The text of session tokens.
#[derive(Debug)]
pub struct SessionToken;

/// What a token says of itself. Nothing of it is verified: it says which credential to verify it with.
#[derive(Debug)]
pub struct Claims {
    subject: Subject,
    expires: SystemTime,
    /// All of it, and at its end the MAC of what is before.
    token: Vec<u8>,
    /// Where the scope begins in it.
    scope: usize,
}

/// What a token says that one of the keys signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whom it speaks for.
    pub subject: Subject,
    /// What it may be used for.
    pub scope: Scope,
    /// When it ends.
    pub expires: SystemTime,
}

impl SessionToken {
    /// How long a text is looked at.
    pub const MAX_LEN: usize = 8192;

    /// Makes the token of a session. `credential` is what the subject was known by: it is the same when the
    /// token is verified, or the token is none.
    pub fn issue(
        keys: &TokenKeys,
        service: &str,
        subject: &Subject,
        scope: &Scope,
        expires: SystemTime,
        credential: &[u8],
    ) -> String {
        let expires = expires.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut token = vec![VERSION];
        token.extend_from_slice(&expires.to_be_bytes());
        subject.encode(&mut token);
        scope.encode(&mut token);
        let mac = keys.sign(PURPOSE, &[service.as_bytes(), &token, credential]);
        token.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Reads what a token claims. `None`: it is none, or one of another version.
    pub fn read(text: &str) -> Option<Claims> {
        if text.len() > Self::MAX_LEN {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (payload, _) = token.split_last_chunk::<MAC_LEN>()?;
        let (version, rest) = payload.split_first()?;
        let (expires, rest) = rest.split_first_chunk()?;
        if *version != VERSION {
            return None;
        }
        let expires = time(u64::from_be_bytes(*expires))?;
        let (subject, scope) = Subject::decode(rest)?;
        let scope = payload.len() - scope.len();
        Some(Claims { subject, expires, scope, token })
    }
}

impl Claims {
    /// Whom it claims to speak for.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// When it claims to end.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// What it says, if one of the keys signed it for this service and with this credential behind it. In constant
    /// time; for a subject whom nobody knows, `credential` is any.
    pub fn verify(self, keys: &TokenKeys, service: &str, credential: &[u8]) -> Option<Session> {
        let (payload, mac) = self.token.split_last_chunk::<MAC_LEN>()?;
        if !keys.verify(PURPOSE, &[service.as_bytes(), payload, credential], mac) {
            return None;
        }
        let scope = Scope::decode(&payload[self.scope..])?;
        Some(Session { subject: self.subject, scope, expires: self.expires })
    }
}

impl Subject {
    fn encode(&self, to: &mut Vec<u8>) {
        let mut put = |kind: u8, user: &UserName| {
            to.push(kind);
            to.push(u8::try_from(user.as_str().len()).expect("a user name has at most 255 bytes"));
            to.extend_from_slice(user.as_str().as_bytes());
        };
        match self {
            Self::Anonymous => to.push(ANONYMOUS),
            Self::User(user) => put(USER, user),
            Self::Machine { user, id } => {
                put(MACHINE, user);
                to.extend_from_slice(id.as_str().as_bytes());
            }
        }
    }

    /// Reads what [`Subject::encode`] wrote, and gives the bytes after it.
    fn decode(encoded: &[u8]) -> Option<(Self, &[u8])> {
        let (kind, rest) = encoded.split_first()?;
        if *kind == ANONYMOUS {
            return Some((Self::Anonymous, rest));
        }
        let (length, rest) = rest.split_first()?;
        let (user, rest) = rest.split_at_checked((*length).into())?;
        let user = str::from_utf8(user).ok()?.parse().ok()?;
        match *kind {
            USER => Some((Self::User(user), rest)),
            MACHINE => {
                let (id, rest) = rest.split_at_checked(TokenId::LEN)?;
                Some((Self::Machine { user, id: str::from_utf8(id).ok()?.parse().ok()? }, rest))
            }
            _ => None,
        }
    }
}

/// A clock can show it, and so can what is added to it.
fn time(seconds: u64) -> Option<SystemTime> {
    const YEAR_9999: u64 = 253_402_300_799;
    (seconds <= YEAR_9999).then(|| UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    const OTHER_KEY: &str = "_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-8";
    const SERVICE: &str = "lockgate";
    const HASH: &[u8] = b"$apr1$8Tr6mJg2$IOypGP1rjT6bRuXo1Xdg8.";

    fn keys(file: &str) -> TokenKeys {
        TokenKeys::parse(file.as_bytes()).unwrap()
    }

    fn session(user: &str, scope: &str) -> Session {
        let expires = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Session { subject: Subject::User(user.parse().unwrap()), scope: Scope::parse([scope]).unwrap(), expires }
    }

    fn issue(keys: &TokenKeys, session: &Session, credential: &[u8]) -> String {
        SessionToken::issue(keys, SERVICE, &session.subject, &session.scope, session.expires, credential)
    }

    fn verify(text: &str, keys: &TokenKeys, credential: &[u8]) -> Option<Session> {
        SessionToken::read(text)?.verify(keys, SERVICE, credential)
    }

    #[test]
    fn a_token_says_who_and_for_what_and_until_when() {
        let keys = keys(KEY);
        let machine = Subject::Machine { user: "ci".parse().unwrap(), id: "0000abcd".parse().unwrap() };
        for subject in [Subject::Anonymous, Subject::User("j\u{fc}rg".parse().unwrap()), machine] {
            let session = Session { subject, ..session("alice", "repository:team/app:pull,push registry:catalog:*") };
            let token = issue(&keys, &session, HASH);
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{token}");
            assert_eq!(SessionToken::read(&token).unwrap().subject(), &session.subject);
            assert_eq!(verify(&token, &keys, HASH), Some(session));
        }
    }

    #[test]
    fn a_token_ends_with_the_credential_behind_it() {
        let keys = keys(KEY);
        let token = issue(&keys, &session("alice", ""), HASH);
        assert!(verify(&token, &keys, HASH).is_some());
        for changed in [&b""[..], b"$apr1$8Tr6mJg2$IOypGP1rjT6bRuXo1Xdg8/", &HASH[..HASH.len() - 1]] {
            assert_eq!(verify(&token, &keys, changed), None);
        }
    }

    #[test]
    fn a_token_of_another_key_or_service_is_none() {
        let token = issue(&keys(KEY), &session("alice", ""), HASH);
        assert_eq!(verify(&token, &keys(OTHER_KEY), HASH), None);
        assert!(verify(&token, &keys(&format!("{OTHER_KEY}\n{KEY}")), HASH).is_some(), "all keys verify");
        assert_eq!(SessionToken::read(&token).unwrap().verify(&keys(KEY), "lockgate2", HASH), None);
    }

    #[test]
    fn nothing_of_the_credential_is_in_a_token() {
        let keys = keys(KEY);
        let [one, other] = [HASH, b"another"].map(|credential| issue(&keys, &session("alice", ""), credential));
        let [one, other] = [one, other].map(|token| URL_SAFE_NO_PAD.decode(token).unwrap());
        assert_eq!(one[..one.len() - MAC_LEN], other[..other.len() - MAC_LEN]);
    }

    #[test]
    fn any_changed_bit_makes_it_no_token() {
        let keys = keys(KEY);
        let token = URL_SAFE_NO_PAD.decode(issue(&keys, &session("alice", "repository:a:pull"), HASH)).unwrap();
        for bit in 0..token.len() * 8 {
            let mut changed = token.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify(&URL_SAFE_NO_PAD.encode(changed), &keys, HASH), None, "bit {bit}");
        }
    }

    #[test]
    fn what_is_cut_or_spelt_in_another_way_is_no_token() {
        let keys = keys(KEY);
        let token = issue(&keys, &session("alice", "repository:a:pull"), HASH);
        for end in 0..token.len() {
            assert_eq!(verify(&token[..end], &keys, HASH), None, "the first {end}");
        }
        for other in [format!("{token}="), format!(" {token}"), format!("{token}\n"), format!("{token}AAAA")] {
            assert_eq!(verify(&other, &keys, HASH), None, "{other}");
        }
        assert!(SessionToken::read(&"A".repeat(SessionToken::MAX_LEN + 4)).is_none());
    }

    #[test]
    fn the_widest_scope_of_the_longest_user_fits() {
        let long = (10..26).map(|i| format!("repository:{i}{}:*", "a".repeat(253)));
        let short = ('a'..='p').map(|name| format!("repository:{name}:*"));
        let asked: Vec<_> = long.chain(short).collect();
        let scope = Scope::parse(asked.iter().map(String::as_str)).unwrap();
        assert_eq!(scope.repositories().count(), Scope::MOST);
        let session = Session { scope, ..session(&"u".repeat(UserName::MAX_LEN), "") };
        let token = issue(&keys(KEY), &session, HASH);
        assert!(token.len() <= SessionToken::MAX_LEN, "{}", token.len());
        assert_eq!(verify(&token, &keys(KEY), HASH), Some(session));
    }

    #[test]
    fn a_time_that_no_clock_shows_is_no_token() {
        let mut token = URL_SAFE_NO_PAD.decode(issue(&keys(KEY), &session("alice", ""), HASH)).unwrap();
        token[1] = 0xff;
        assert!(SessionToken::read(&URL_SAFE_NO_PAD.encode(token)).is_none());
    }

    proptest! {
        #[test]
        fn every_session_is_read_as_it_was_issued(
            user in "[^:\\pC]{1,40}", id in proptest::option::of("[0-9A-Za-z]{8}"), seconds in 0..200_000_000_000_u64,
            asked in "(repository:[a-c]{1,3}:(pull|push|delete|\\*) ){0,4}", credential: Vec<u8>,
        ) {
            let user: UserName = user.parse().unwrap();
            let subject = match id {
                Some(id) => Subject::Machine { user, id: id.parse().unwrap() },
                None => Subject::User(user),
            };
            let scope = Scope::parse([asked.as_str()]).unwrap();
            let session = Session { subject, scope, expires: UNIX_EPOCH + Duration::from_secs(seconds) };
            let keys = keys(KEY);
            prop_assert_eq!(verify(&issue(&keys, &session, &credential), &keys, &credential), Some(session));
        }

        #[test]
        fn no_text_makes_it_panic(bytes: Vec<u8>, text in "\\PC{0,80}") {
            let _ = SessionToken::read(&text);
            let _ = SessionToken::read(&URL_SAFE_NO_PAD.encode([&[VERSION, 0, 0, 0][..], &bytes].concat()));
        }
    }
}
