//! The names of what was deleted and can be restored, in Lockgate's extension of a repository.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// The name of a record of the trash: newer ones sort before older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrashId {
    /// Milliseconds that are left until there is no later time.
    left: u64,
    nonce: u128,
}

/// A text is no [`TrashId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was deleted is named as the list of it shows it: sixteen hexadecimal digits, a dash, and 32 more")]
pub struct TrashIdError;

impl TrashId {
    /// One of this time; of two of one time the nonces tell which is which.
    pub fn new(time: SystemTime, nonce: u128) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { left: u64::MAX - u64::try_from(since.as_millis()).unwrap_or(u64::MAX), nonce }
    }

    /// When it was made, by the clock of who made it, to the millisecond.
    pub fn time(self) -> SystemTime {
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(u64::MAX - self.left));
        time.unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl fmt::Display for TrashId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:032x}", self.left, self.nonce)
    }
}

impl FromStr for TrashId {
    type Err = TrashIdError;

    fn from_str(text: &str) -> Result<Self, TrashIdError> {
        let (left, nonce) = text.split_once('-').ok_or(TrashIdError)?;
        let left = u64::from_str_radix(left, 16).map_err(|_| TrashIdError)?;
        let id = Self { left, nonce: u128::from_str_radix(nonce, 16).map_err(|_| TrashIdError)? };
        // It is the end of a key and of a URL, which has one form.
        if id.to_string() == text { Ok(id) } else { Err(TrashIdError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_an_id_in_one_way(text in "[0-9a-fA-F+]{15,17}-[0-9a-fA-F+]{31,33}") {
            if let Ok(id) = text.parse::<TrashId>() {
                prop_assert_eq!(id.to_string(), text);
                let _ = id.time();
            }
        }

        #[test]
        fn what_was_deleted_later_sorts_before_and_tells_when(seconds in 0..1_u64 << 40, nonce in any::<u128>()) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let id = TrashId::new(time, nonce);
            let later = TrashId::new(time + Duration::from_millis(1), 0);
            prop_assert_eq!((id.time(), id.to_string().parse()), (time, Ok(id)));
            prop_assert!(later < id && later.to_string() < id.to_string());
        }
    }
}
