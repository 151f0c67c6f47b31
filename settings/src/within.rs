//! Numbers whose type says between what they are, so that a mistake is told with its line.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{ByteSize, Period};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Within<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Within<MIN, MAX> {
    /// One that is written in the program.
    ///
    /// # Panics
    /// Outside the bounds, at compile time in a constant.
    pub const fn of(number: u32) -> Self {
        assert!(MIN <= number && number <= MAX);
        Self(number)
    }

    /// The number, as a count of things in memory.
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// The number, where 0 stands for something else.
    pub fn non_zero(self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.get())
    }

    /// What it is, to a person.
    fn what() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }
}

impl<const MIN: u32, const MAX: u32> From<Within<MIN, MAX>> for u32 {
    fn from(number: Within<MIN, MAX>) -> Self {
        number.0
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Within<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = usize::deserialize(deserializer)?;
        let within = u32::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number));
        within.map(Self).ok_or_else(|| D::Error::custom(format_args!("{} is wanted, not {number}", Self::what())))
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Within<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Self::what().into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX, "title": Self::what() })
    }
}

/// A size from `MIN` to `MAX` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeWithin<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> SizeWithin<MIN, MAX> {
    /// One that is written in the program, in bytes.
    ///
    /// # Panics
    /// Outside the bounds, at compile time in a constant.
    pub const fn of(bytes: u32) -> Self {
        assert!(MIN <= bytes && bytes <= MAX);
        Self(bytes)
    }

    /// In bytes.
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// What it is, to a person.
    fn what() -> String {
        let [min, max] = [MIN, MAX].map(|bytes| ByteSize::from_bytes(bytes.into()));
        format!("a size from {min} to {max}")
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for SizeWithin<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let size = ByteSize::deserialize(deserializer)?;
        let within = u32::try_from(size.bytes()).ok().filter(|bytes| (MIN..=MAX).contains(bytes));
        within.map(Self).ok_or_else(|| D::Error::custom(format_args!("{} is wanted, not {size}", Self::what())))
    }
}

impl<const MIN: u32, const MAX: u32> Serialize for SizeWithin<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ByteSize::from_bytes(self.0.into()).serialize(serializer)
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for SizeWithin<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Self::what().into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "minimum": MIN, "maximum": MAX, "title": Self::what() })
    }
}
/// A length of time from `MIN` to `MAX` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PeriodWithin<const MIN: u64, const MAX: u64>(Period);

impl<const MIN: u64, const MAX: u64> PeriodWithin<MIN, MAX> {
    /// One that is written in the program, in seconds.
    ///
    /// # Panics
    /// Outside the bounds, at compile time in a constant.
    pub const fn of(seconds: u64) -> Self {
        assert!(MIN <= seconds && seconds <= MAX);
        Self(Period::from_secs(seconds))
    }

    /// As the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0.duration()
    }

    /// What it is, to a person.
    fn what() -> String {
        let [min, max] = [MIN, MAX].map(Period::from_secs);
        format!("a duration from {min} to {max}")
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for PeriodWithin<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let period = Period::deserialize(deserializer)?;
        if (Duration::from_secs(MIN)..=Duration::from_secs(MAX)).contains(&period.duration()) {
            Ok(Self(period))
        } else {
            Err(D::Error::custom(format_args!("{} is wanted, not {period}", Self::what())))
        }
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for PeriodWithin<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Self::what().into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "title": Self::what() })
    }
}
