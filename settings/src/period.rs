//! Lengths of time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Visitor};

/// A length of time that is not zero and at most [`Period::MAX`], written as in `900s`, `250ms` or
/// `1m 30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Period(Duration);

/// Why a text is no [`Period`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// A bare number.
    #[error("a duration needs a unit, as in \"900s\", \"15m\" or \"250ms\"")]
    NoUnit,
    /// Outside the grammar.
    #[error("{0:?} is no duration; write it as in \"900s\", \"1m 30s\" or \"250ms\"")]
    Grammar(String),
    /// Zero, which would mean that nothing is ever in time.
    #[error("a duration is longer than zero")]
    Zero,
    /// Over [`Period::MAX`].
    #[error("a duration is at most 365 days")]
    TooLong,
}

/// `364days 23h 59m 59s 999ms 999us 999ns` has 18.
const MAX_DIGITS: usize = 19;

impl Period {
    /// A year: long enough for any timeout, and short enough to be added to any clock.
    pub const MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    /// This many seconds.
    ///
    /// # Panics
    ///
    /// On zero and over [`Period::MAX`], at compile time in a constant.
    pub const fn from_secs(seconds: u64) -> Self {
        assert!(seconds > 0 && seconds <= Self::MAX.as_secs(), "a period is over zero and at most a year");
        Self(Duration::from_secs(seconds))
    }

    /// As the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl TryFrom<Duration> for Period {
    type Error = PeriodError;

    fn try_from(duration: Duration) -> Result<Self, PeriodError> {
        if duration.is_zero() {
            Err(PeriodError::Zero)
        } else if duration > Self::MAX {
            Err(PeriodError::TooLong)
        } else {
            Ok(Self(duration))
        }
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        period.0
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        if !text.trim().is_empty() && text.trim().bytes().all(|b| b.is_ascii_digit()) {
            return Err(PeriodError::NoUnit);
        }
        // humantime panics when the carry of the nanoseconds overflows, which takes more digits than these.
        if text.bytes().filter(u8::is_ascii_digit).count() > MAX_DIGITS {
            return Err(PeriodError::Grammar(text.to_owned()));
        }
        match humantime::parse_duration(text) {
            Ok(duration) => duration.try_into(),
            Err(humantime::DurationError::NumberOverflow) => Err(PeriodError::TooLong),
            Err(_) => Err(PeriodError::Grammar(text.to_owned())),
        }
    }
}

/// The units in which a period is written: in the largest that it is a whole number of.
const UNITS: &[(&str, u128)] = &[
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1000),
];

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let (unit, long) = UNITS.iter().find(|(_, long)| nanos.is_multiple_of(*long)).unwrap_or(&("ns", 1));
        write!(f, "{}{unit}", nanos / long)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PeriodVisitor;

        impl Visitor<'_> for PeriodVisitor {
            type Value = Period;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration, as in \"900s\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Period, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: serde::de::Error>(self, _seconds: i64) -> Result<Period, E> {
                Err(E::custom(PeriodError::NoUnit))
            }
        }

        deserializer.deserialize_any(PeriodVisitor)
    }
}

crate::shown_as_text!(Period, "string", "a duration, as in \"30s\"");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_written_with_units() {
        for (text, millis) in
            [("900s", 900_000), ("250ms", 250), ("1m 30s", 90_000), ("1m30s", 90_000), ("2h", 7_200_000), ("0.5s", 500)]
        {
            assert_eq!(text.parse::<Period>().map(Period::duration), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!("365d".parse(), Ok(Period(Period::MAX)));
    }

    #[test]
    fn a_duration_without_a_unit_is_told_to_have_one() {
        for text in ["900", "0", " 5 "] {
            assert_eq!(text.parse::<Period>(), Err(PeriodError::NoUnit), "{text}");
        }
    }

    #[test]
    fn zero_the_endless_and_the_unreadable_are_refused() {
        assert_eq!("0s".parse::<Period>(), Err(PeriodError::Zero));
        for text in ["366d", "31536001s", "9999999999999years"] {
            assert_eq!(text.parse::<Period>(), Err(PeriodError::TooLong), "{text}");
        }
        for text in ["", " ", "s", "-1s", "1 fortnight", "1,5s", "18446744073709551615s 1000000000ns"] {
            assert_eq!(text.parse::<Period>(), Err(PeriodError::Grammar(text.to_owned())), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_period_reads_back_as_it_was_written(seconds in 0..Period::MAX.as_secs(), nanos in 1_u32..1_000_000_000) {
            let period = Period(Duration::new(seconds, nanos));
            prop_assert_eq!(period.to_string().parse(), Ok(period));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "([0-9]{0,20}[ .-]?(ns|us|ms|s|m|h|d|w|M|y|years| )){0,4}") {
            if let Ok(period) = text.parse::<Period>() {
                prop_assert!(!period.duration().is_zero() && period.duration() <= Period::MAX);
            }
        }
    }
}
