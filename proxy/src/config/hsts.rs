//! HTTP Strict Transport Security (RFC 6797).

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use lockgate_settings::{Period, PeriodError};

/// How long a browser that was here shall speak nothing but https with this host name, on any of its
/// ports; or that it is told nothing. Written as a duration, of which `0s` is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hsts(Option<Period>);

/// Why a text is no [`Hsts`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HstsError {
    /// The header counts in seconds.
    #[error("browsers count in seconds: write at least \"1s\", or \"0s\" for no Strict-Transport-Security at all")]
    UnderASecond,
    /// It is none at all.
    #[error(transparent)]
    Period(#[from] PeriodError),
}

impl Hsts {
    /// The value of `Strict-Transport-Security`. Never with `includeSubDomains`: a registry does not
    /// speak for other hosts.
    pub fn header(self) -> Option<HeaderValue> {
        let age = self.0?.duration().as_secs();
        Some(HeaderValue::try_from(format!("max-age={age}")).expect("a number is printable ASCII"))
    }
}

impl Default for Hsts {
    /// A bit over the half year that scanners ask for; whoever regrets it waits no longer than that.
    fn default() -> Self {
        Self(Some(Period::from_secs(183 * 24 * 60 * 60)))
    }
}

impl FromStr for Hsts {
    type Err = HstsError;

    fn from_str(text: &str) -> Result<Self, HstsError> {
        match text.parse::<Period>() {
            Err(PeriodError::Zero) => Ok(Self(None)),
            Ok(period) if period < Period::from_secs(1) => Err(HstsError::UnderASecond),
            period => Ok(Self(Some(period?))),
        }
    }
}

impl fmt::Display for Hsts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(period) => period.fmt(f),
            None => f.write_str("0s"),
        }
    }
}

lockgate_settings::written_as_text!(Hsts, "a duration, as in \"30d\", or \"0s\"");

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Result<Option<String>, HstsError> {
        let hsts: Hsts = text.parse()?;
        Ok(hsts.header().map(|value| value.to_str().expect("ASCII").to_owned()))
    }

    #[test]
    fn a_period_is_told_in_seconds_and_says_nothing_of_other_hosts() {
        assert_eq!(header("365d"), Ok(Some("max-age=31536000".to_owned())));
        assert_eq!(header("1s"), Ok(Some("max-age=1".to_owned())));
        assert_eq!(Hsts::default().header(), Some(HeaderValue::from_static("max-age=15811200")));
    }

    #[test]
    fn every_period_is_written_as_it_is_read() {
        for text in ["183d", "1s", "0s"] {
            assert_eq!(text.parse().map(|hsts: Hsts| hsts.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn zero_is_silence_and_less_than_a_second_a_mistake() {
        assert_eq!(header("0s"), Ok(None));
        assert_eq!(header("999ms"), Err(HstsError::UnderASecond));
        assert_eq!(header("366d"), Err(PeriodError::TooLong.into()));
        assert_eq!(header("60"), Err(PeriodError::NoUnit.into()));
    }
}
