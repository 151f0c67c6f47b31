//! Lengths of time, of which zero stands for something else.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{Period, PeriodError};

/// A [`Period`], or `0s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodOrZero(Option<Period>);

impl PeriodOrZero {
    /// This many seconds.
    ///
    /// # Panics
    /// Over [`Period::MAX`], at compile time in a constant.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(if seconds == 0 { None } else { Some(Period::from_secs(seconds)) })
    }

    /// The period, where it is not zero.
    pub const fn period(self) -> Option<Period> {
        self.0
    }

    /// As the standard library's type.
    pub fn duration(self) -> Duration {
        self.0.map(Period::duration).unwrap_or_default()
    }
}

impl FromStr for PeriodOrZero {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        match text.parse() {
            Ok(period) => Ok(Self(Some(period))),
            Err(PeriodError::Zero) => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Display for PeriodOrZero {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(period) => period.fmt(f),
            None => f.write_str("0s"),
        }
    }
}

crate::written_as_text!(PeriodOrZero, "a duration, as in \"30s\", or \"0s\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_has_a_unit_too() {
        for (text, seconds) in [("0s", 0), ("0d", 0), ("7d", 7 * 24 * 60 * 60)] {
            let period: PeriodOrZero = text.parse().expect(text);
            assert_eq!(period, PeriodOrZero::from_secs(seconds));
            assert_eq!(period.to_string().parse(), Ok(period));
        }
        assert_eq!("0".parse::<PeriodOrZero>(), Err(PeriodError::NoUnit));
        assert_eq!("366d".parse::<PeriodOrZero>(), Err(PeriodError::TooLong));
    }
}
