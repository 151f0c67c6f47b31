//! Shares of a whole.

use std::fmt;
use std::str::FromStr;

/// Whole percents, from 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u8);

/// A text is no [`Share`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a share is written as in \"20%\": a whole number from 1 to 100 with a percent sign")]
pub struct ShareError;

impl Share {
    /// So many percents.
    ///
    /// # Panics
    /// Outside the bounds, at compile time in a constant.
    pub const fn of(percents: u8) -> Self {
        assert!(percents >= 1 && percents <= 100);
        Self(percents)
    }

    /// As a part of one.
    pub fn of_one(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let digits = text.strip_suffix('%').ok_or(ShareError)?.trim_end();
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let percents = digits.parse().ok().filter(|percents| is_plain && (1..=100).contains(percents));
        percents.map(Self).ok_or(ShareError)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

crate::written_as_text!(Share, "a share, as in \"20%\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_a_percent_sign_and_is_of_a_whole() {
        for (text, percents) in [("1%", 1), ("20 %", 20), ("100%", 100)] {
            assert_eq!(text.parse(), Ok(Share::of(percents)), "{text}");
            assert_eq!(Share::of(percents).to_string().parse(), Ok(Share::of(percents)));
        }
        for text in ["", "20", "0%", "101%", "+5%", "-1%", "0.5%", "%"] {
            assert_eq!(text.parse::<Share>(), Err(ShareError), "{text}");
        }
    }
}
