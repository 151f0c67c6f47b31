//! Numbers of bytes.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};

/// A number of bytes, written as in `32KiB`, `4MiB`, `10MB`, or as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSize(u64);

/// Why a text is no [`ByteSize`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ByteSizeError {
    /// Outside the grammar.
    #[error(
        "{0:?} is no size; write a whole number of bytes, KiB, MiB, GiB or TiB, as in \"32KiB\" (kB, MB, GB and TB count in thousands)"
    )]
    Grammar(String),
    /// Negative.
    #[error("a size is not negative")]
    Negative,
    /// Over 2^64 - 1 bytes.
    #[error("a size is less than 16777216TiB")]
    TooLarge,
}

const BINARY: &[(&str, u64)] = &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const DECIMAL: &[(&str, u64)] = &[("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];

impl ByteSize {
    /// This many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// This many KiB.
    ///
    /// # Panics
    ///
    /// Over 2^54, at compile time in a constant.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib.checked_mul(1 << 10).expect("a size is less than 2^64 bytes"))
    }

    /// This many MiB.
    ///
    /// # Panics
    ///
    /// Over 2^44, at compile time in a constant.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.checked_mul(1 << 20).expect("a size is less than 2^64 bytes"))
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

fn unit(text: &str) -> Option<u64> {
    if text.is_empty() || text == "B" {
        return Some(1);
    }
    BINARY.iter().chain(DECIMAL).find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, bytes)| *bytes)
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let grammar = || ByteSizeError::Grammar(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (number, name) = trimmed.split_at(digits);
        if number.is_empty() {
            return Err(grammar());
        }
        let unit = unit(name.trim_start()).ok_or_else(grammar)?;
        number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).map(Self).ok_or(ByteSizeError::TooLarge)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match BINARY.iter().find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByteSizeVisitor;

        impl Visitor<'_> for ByteSizeVisitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size, as in \"32KiB\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes).map(ByteSize).map_err(|_| E::custom(ByteSizeError::Negative))
            }
        }

        deserializer.deserialize_any(ByteSizeVisitor)
    }
}

crate::shown_as_text!(ByteSize, ["string", "integer"], "a size, as in \"32KiB\"");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_written_in_binary_or_decimal_units() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("32KiB", 32_768),
            ("32 kib", 32_768),
            ("4MiB", 4_194_304),
            ("1GiB", 1 << 30),
            ("1TiB", 1 << 40),
            ("10kB", 10_000),
            ("10MB", 10_000_000),
            ("2GB", 2_000_000_000),
            ("2TB", 2_000_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn a_size_that_could_mean_two_things_is_refused() {
        for text in ["", " ", "KiB", "32K", "32k", "4M", "1.5GiB", "-1", "+1", "0x10", "1_000", "1 2KiB", "٣KiB"] {
            assert_eq!(text.parse::<ByteSize>(), Err(ByteSizeError::Grammar(text.to_owned())), "{text}");
        }
        for text in ["18446744073709551616", "16777216TiB"] {
            assert_eq!(text.parse::<ByteSize>(), Err(ByteSizeError::TooLarge), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_size_reads_back_as_it_was_written(bytes: u64, shift in 0_u32..64) {
            for size in [ByteSize(bytes), ByteSize(bytes >> shift << shift)] {
                prop_assert_eq!(size.to_string().parse(), Ok(size));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9]{0,24}[ .-]?[kKmMgGtTiIbB]{0,3}") {
            let _ = text.parse::<ByteSize>();
        }
    }
}
